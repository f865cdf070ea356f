// @ts-check
/** Clicks and boxes, from which a prompter of the server makes the current object's mask. */

import * as api from "../core/api.js";
import { replaceObject } from "../core/raster.js";
import { ClickTool } from "./clicks.js";

export class PromptTool extends ClickTool {
  /** @type {AbortController|null} */
  call = null;

  obstacle() {
    return this.store.project?.prompters.length ? super.obstacle() : "This server has no prompter for clicks.";
  }

  cancel() {
    this.call?.abort();
    return super.cancel();
  }

  undone() {
    this.call?.abort();
    super.undone();
  }

  /** @param {string} action */
  async ask(action) {
    const { clip, frame, object, project } = this.store;
    if (!clip || !project) return;
    this.call?.abort();
    const call = (this.call = new AbortController());
    const prompter = project.prompters.includes(this.prompter) ? this.prompter : project.prompters[0];
    this.editor.flush();
    this.waiting = true;
    this.store.emit("tool");
    try {
      await this.session.saver.settled();
      const prompt = { frame, object, points: this.points, box: this.box, prompter };
      const inside = await api.prompt(clip.id, prompt, call.signal);
      if (this.store.frame !== frame || this.store.object !== object || call.signal.aborted) return;
      if (this.obstacle()) return; // it was locked or hidden in the meantime
      this.editor.apply(action, (target) => replaceObject(target, inside, object));
      this.editor.flush();
    } catch (error) {
      if (!(error instanceof DOMException)) this.session.say(error instanceof Error ? error.message : String(error), "error");
    } finally {
      if (this.call === call) {
        this.waiting = false;
        this.store.emit("tool");
      }
    }
  }
}
