// @ts-check
/** The open clip: opening, objects, propagation, undo, download. */

import { encodePng } from "../files/png.js";
import { Zip } from "../files/zip.js";
import { openFiles } from "../media/source.js";
import { Editor } from "./editor.js";
import { Frames } from "./frames.js";
import { holds, toIds, without } from "./masks.js";
import { Navigator } from "./navigator.js";
import { Saver } from "./saver.js";
import { defaultColor } from "./store.js";

/** @typedef {import("./network.js").Network} Network */
/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types.js").Job} Job */
/** @typedef {import("./types.js").ObjectInfo} ObjectInfo */

const RECENT_MS = 8000; // interval over which frames per second are measured

export class Session {
  /** @param {Store} store @param {Network} network @param {(text: string, kind?: "info"|"error") => void} say */
  constructor(store, network, say) {
    this.store = store;
    this.network = network;
    this.say = say;
    this.saver = new Saver(store);
    this.editor = new Editor(store, this.saver);
    this.navigator = new Navigator(store, this.editor);
    /** @type {Frames|null} */
    this.frames = null;
    /** Files of the open clip. @type {File[]} */
    this.files = [];
    /** The main view shows each frame that a propagation finishes. */
    this.following = false;
    this.stopping = false;
    this.navigator.onError = (text) => say(text, "error");
  }

  // -- clip -----------------------------------------------------------------------------------------------------------

  /** Open the user's files. @param {File[]} files @param {number|null} [rate] of a video */
  async open(files, rate = null) {
    if (this.store.running) throw new Error("Stop the propagation first.");
    const source = await openFiles(files, rate);
    this.frames?.source.close();
    this.editor.flush();
    this.saver.clear();
    this.files = files;
    const { store } = this;
    const { name, frames, width, height, times } = source;
    store.clip = {
      ...{ id: name, name, frames, width, height, times, fps: source.rate },
      ...{ given: [], masked: [], damaged: [], cuts: [], objects: [newObject(1)], changes: 0, revisions: {}, view: {}, job: null, undo: null, redo: null },
    };
    Object.assign(store, { frame: 0, object: 1, solo: null, markIn: null, markOut: null, brush: Math.max(6, Math.round(height / 16)) });
    this.frames = this.navigator.frames = new Frames(source, this.saver);
    this.navigator.wanted = 0;
    for (const topic of /** @type {const} */ (["clip", "objects", "tool", "jobs"])) store.emit(topic);
    await this.navigator.reload();
  }

  /** @param {number} frame */
  visit(frame) {
    this.unfollow();
    return this.navigator.go(frame);
  }

  /** @param {number} by */
  step(by) {
    this.unfollow();
    return this.navigator.step(by);
  }

  unfollow() {
    if (!this.following) return;
    this.following = false;
    this.store.emit("jobs");
  }

  correctNext() {}

  // -- objects --------------------------------------------------------------------------------------------------------

  /** @param {number} id */
  selectObject(id) {
    this.store.object = id;
    this.store.emit("objects");
    this.store.emit("view");
  }

  /** Add an object if the export has room for it. */
  addObject() {
    const { clip } = this.store;
    if (!clip) return;
    const most = Math.min(255, this.network.manifest?.objects ?? 255);
    if (clip.objects.length >= most) {
      return this.say(`This export holds ${most} objects. For more: voskit export --format web --objects ${most + 1}`, "error");
    }
    const used = clip.objects.map(({ id }) => id);
    const id = Array.from({ length: 255 }, (_, i) => i + 1).find((i) => !used.includes(i)) ?? 1;
    clip.objects = [...clip.objects, newObject(id)];
    this.selectObject(id);
  }

  /** Remove an object from all frames; undo brings its pixels back. @param {number} id */
  async deleteObject(id) {
    const { clip } = this.store;
    if (!clip || this.store.running) return;
    this.editor.flush();
    const changes = [...this.saver.masks.entries].filter(([, { runs }]) => holds(runs, id));
    if (changes.length) {
      this.saver.apply(`delete ${this.store.nameOf(id)}`, changes.map(([frame, { runs, given }]) => [frame, { runs: without(runs, id), given }]));
    }
    clip.objects = clip.objects.filter((object) => object.id !== id);
    if (!clip.objects.length) clip.objects = [newObject(1)];
    if (this.store.object === id) this.store.object = clip.objects[0].id;
    this.store.emit("objects");
    await this.navigator.reload();
  }

  /** @param {number} id @param {Partial<ObjectInfo>} fields */
  changeObject(id, fields) {
    const object = this.store.clip?.objects.find((o) => o.id === id);
    if (object) Object.assign(object, fields);
    this.store.emit("objects");
  }

  // -- propagation ----------------------------------------------------------------------------------------------------

  /** Propagate from the shown frame to the end of the range. Given masks before it are references, those after it stay. */
  async propagate() {
    const { store } = this;
    this.editor.flush();
    const first = store.frame;
    const last = Math.max(first, store.range[1]);
    if (!this.frames || store.running) return;
    if (!this.network.manifest) return this.say("The network is still loading: wait a moment.", "error");
    if (!this.saver.masks.entries.has(first)) return this.say(`Frame ${first} has no mask: paint the objects first.`, "error");
    if (first === last) return this.say("The range ends at this frame: there is nothing to propagate to.");
    const job = this.begin(last - first);
    this.following = true;
    try {
      await this.network.reset();
      for (const frame of this.saver.masks.given.filter((f) => f < first)) {
        if (!this.stopping) await this.network.step(await this.frames.pixels(frame), this.frames.mask(frame).ids);
      }
      await this.run(first, last, job);
      job.state = this.stopping ? "stopped" : "done";
    } catch (error) {
      job.state = "failed";
      this.say(error instanceof Error ? error.message : String(error), "error");
    }
    this.following = false;
    store.emit("jobs");
    if (job.state === "done") this.say(`Propagated to frame ${last}.`);
  }

  /** @param {number} total @returns {Job} */
  begin(total) {
    this.stopping = false;
    /** @type {Job} */
    const job = { id: "propagation", clip: this.store.clip?.id ?? "", kind: "propagate", state: "running", done: 0, total, fps: null, left_s: null, frame: null, error: null };
    this.store.jobs.set(job.id, job);
    this.store.emit("jobs");
    return job;
  }

  /** @param {number} first @param {number} last @param {Job} job */
  async run(first, last, job) {
    const frames = /** @type {Frames} */ (this.frames);
    /** @type {number[]} */
    const ends = [];
    for (let frame = first; frame <= last && !this.stopping; frame++) {
      const pixels = await frames.pixels(frame);
      if (frame < last) frames.prefetch([frame + 1]); // decoded while the network runs
      const given = frame === first || frames.mask(frame).given;
      const ids = await this.network.step(pixels, given ? frames.mask(frame).ids : null);
      ends.push(performance.now());
      if (frame === first) continue;
      if (!frames.mask(frame).given) this.saver.predict(frame, ids);
      this.progress(job, frame, ends);
      if (frame === this.store.frame) await this.navigator.reload();
      else if (this.following && !this.editor.active) await this.navigator.go(frame);
    }
  }

  /** @param {Job} job @param {number} frame @param {number[]} ends times at which frames were done */
  progress(job, frame, ends) {
    const now = ends[ends.length - 1];
    const recent = ends.filter((time) => time > now - RECENT_MS);
    if (recent.length > 1) job.fps = (1000 * (recent.length - 1)) / (now - recent[0]);
    Object.assign(job, { done: job.done + 1, frame, left_s: job.fps ? (job.total - job.done - 1) / job.fps : null });
    this.store.emit("jobs");
  }

  stop() {
    this.stopping = true;
  }

  // -- undo and download ----------------------------------------------------------------------------------------------

  /** @param {"undo"|"redo"} which */
  async history(which) {
    if (this.editor.active) return this.editor.cancel();
    this.editor.flush();
    const step = this.saver.history(which);
    if (!step) return this.say(`There is nothing to ${which}.`);
    this.restoreObjects(step.frames);
    const shown = step.frames.includes(this.store.frame);
    await (shown ? this.navigator.reload() : this.visit(step.frames[0]).then(() => this.navigator.reload()));
    this.say(`${which === "undo" ? "Undone" : "Redone"}: ${step.text}`);
  }

  /** Restore deleted objects that are in the masks of these frames. @param {number[]} frames */
  restoreObjects(frames) {
    const { clip } = this.store;
    if (!clip) return;
    const ids = new Set(frames.flatMap((frame) => [...(this.saver.masks.entries.get(frame)?.runs ?? [])].filter((_, i) => i % 2 === 0)));
    const missing = [...ids].filter((id) => id && !clip.objects.some((object) => object.id === id));
    clip.objects = [...clip.objects, ...missing.map(newObject)].sort((a, b) => a.id - b.id);
    this.store.emit("objects");
  }

  /** Pack the masks of all frames that have one. @returns {Promise<Blob>} */
  async archive() {
    this.editor.flush();
    const { source } = /** @type {Frames} */ (this.frames);
    const { entries, frames } = this.saver.masks;
    const palette = this.palette();
    const zip = new Zip();
    for (const frame of frames) {
      const ids = toIds(entries.get(frame)?.runs, source.width * source.height);
      await zip.add(`${source.names[frame]}.png`, await encodePng(ids, source.width, source.height, palette));
    }
    this.saver.changed = false;
    return zip.finish();
  }

  /** Colors of ids: the export's, with those that the user chose. */
  palette() {
    const palette = [...(this.network.manifest?.palette ?? new Array(768).fill(0))];
    for (const { id, color } of this.store.objects) {
      [1, 3, 5].forEach((at, channel) => (palette[3 * id + channel] = parseInt(color.slice(at, at + 2), 16)));
    }
    return palette;
  }
}

/** @param {number} id @returns {ObjectInfo} */
function newObject(id) {
  return { id, name: "", color: defaultColor(id), visible: true, locked: false, given: 0 };
}
