// @ts-check
/** Queue of edits to send to the server: one request per edit, with the revision that it was based on. */

import * as api from "./api.js";
import { gzip } from "./gzip.js";

/** @typedef {import("./types.js").Delta} Delta */
/** @typedef {import("./frames.js").Frames} Frames */
/** @typedef {import("./frames.js").Mask} Mask */
/** @typedef {import("./store.js").Store} Store */

/**
 * @typedef {{frame: number, mask: Mask, body: Promise<ArrayBuffer>|null, delta: Delta|null, action: string, after: Promise<unknown>}} Item
 * a body of null removes the frame's mask
 */

const RETRY_MS = 1500;

export class Saver {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    /** @type {Frames|null} */
    this.frames = null;
    /** @type {Item[]} */
    this.queue = [];
    /** Tags of frames with edits in the queue. @type {Map<number, string>} */
    this.tags = new Map();
    /** Edits that the server rejected because their frame had changed elsewhere. @type {Map<number, Delta[]>} */
    this.drafts = new Map();
    /** Cause of the last rejection; empty: the frame had changed elsewhere. */
    this.reason = "";
    this.busy = false;
    /** An edit isn't in the queue yet. */
    this.open = false;
    /** Callers that wait for an item and all before it. @type {{item: Item, resolve: () => void}[]} */
    this.waiting = [];
    /** The last undo or redo: later edits are sent after its response. @type {Promise<unknown>} */
    this.undoing = Promise.resolve();
    /** Called with a frame whose edits were rejected. @type {(frame: number) => void} */
    this.onConflict = () => {};
    /** Called with a frame once all its edits are saved. @type {(frame: number) => void} */
    this.onSaved = () => {};
    /** Called with the text of an error that isn't a conflict. @type {(text: string) => void} */
    this.onRefused = () => {};
  }

  /** @param {number} frame */
  has(frame) {
    return this.tags.has(frame);
  }

  get idle() {
    return !this.queue.length && !this.busy;
  }

  /** Everything is on the server, and no edit waits for a decision. */
  get clean() {
    return this.idle && !this.open && !this.drafts.size;
  }

  /**
   * Queue a frame's mask, whose ids are copied. @param {number} frame @param {Mask} mask
   * @param {Delta|null} delta @param {string} action "clear": remove the mask
   */
  add(frame, mask, delta, action) {
    if (!this.tags.has(frame)) this.tags.set(frame, mask.tag);
    this.frames?.masks.set(frame, mask); // the cached mask may be gone, or lack the edit
    const body = action === "clear" ? null : gzip(/** @type {ArrayBuffer} */ (mask.ids.slice().buffer));
    this.queue.push({ frame, mask, body, delta, action, after: this.undoing });
    this.mark();
    this.run();
  }

  /** Wait until all edits currently in the queue have left it. @returns {Promise<void>} */
  settled() {
    const item = this.queue[this.queue.length - 1];
    return item ? new Promise((resolve) => this.waiting.push({ item, resolve })) : Promise.resolve();
  }

  release() {
    const waiting = this.waiting.splice(0);
    for (const one of waiting) {
      if (this.queue.includes(one.item)) this.waiting.push(one);
      else one.resolve();
    }
  }

  /** Notify the page whether everything is saved. */
  mark() {
    const trouble = this.store.trouble !== null;
    const state = this.clean ? "saved" : trouble || this.drafts.size || (this.open && this.idle) ? "unsaved" : "saving";
    if (state === this.store.saving) return;
    this.store.saving = state;
    this.store.emit("saving");
  }

  async run() {
    if (this.busy) return;
    this.busy = true;
    while (this.queue.length) {
      const item = this.queue[0];
      try {
        await item.after;
        await this.send(item);
        this.queue.shift();
        this.finish(item.frame);
      } catch (error) {
        if (error instanceof api.ConnectionLost) await this.pause("No connection to the server. Your work is kept here and saved when it is back.");
        else if (error instanceof api.ApiError && error.status === 412) {
          this.trouble(null); // the server responded
          this.refuse(item.frame, "");
        }
        else if (error instanceof api.ApiError && [401, 403, 409, 507].includes(error.status)) await this.pause(error.message);
        else this.fail(item, error);
      }
      this.release();
    }
    this.busy = false;
    this.mark();
  }

  /** @param {Item} item */
  async send(item) {
    const clip = /** @type {import("./types.js").Clip} */ (this.frames?.clip);
    /** @type {Record<string, string>} */
    const headers = { "If-Match": this.tags.get(item.frame) ?? "", "X-Action": item.action };
    const path = api.inClip(clip.id, `masks/${item.frame}`);
    let response;
    if (item.body) {
      headers["Content-Type"] = "application/octet-stream";
      headers["Content-Encoding"] = "gzip";
      response = await api.request(path, { method: "PUT", headers, body: await item.body });
    } else {
      response = await api.request(path, { method: "DELETE", headers });
    }
    const tag = response.headers.get("ETag") ?? "";
    this.tags.set(item.frame, tag);
    item.mask.tag = tag; // the cached mask may have changed since
    this.trouble(null);
  }

  /** @param {number} frame */
  finish(frame) {
    if (this.queue.some((item) => item.frame === frame)) return;
    this.tags.delete(frame);
    this.onSaved(frame);
  }

  /** Keep a frame's edits as a draft. @param {number} frame @param {string} reason empty: the frame has changed elsewhere */
  refuse(frame, reason) {
    this.reason = reason;
    const lost = this.queue.filter((item) => item.frame === frame);
    this.queue = this.queue.filter((item) => item.frame !== frame);
    const kept = lost.flatMap((item) => (item.delta ? [item.delta] : []));
    if (!kept.length && !reason) this.onRefused(`frame ${frame} was changed elsewhere meanwhile, and is shown as it is now.`);
    if (kept.length) this.drafts.set(frame, [...(this.drafts.get(frame) ?? []), ...kept]);
    this.tags.delete(frame);
    this.onConflict(frame);
    this.mark();
  }

  /** @param {Item} item @param {unknown} error */
  fail(item, error) {
    const text = error instanceof Error ? error.message : String(error);
    this.refuse(item.frame, text);
    this.onRefused(text);
  }

  /** @param {string} text */
  async pause(text) {
    this.trouble(text);
    await new Promise((resolve) => {
      this.wake = () => resolve(null);
      setTimeout(resolve, RETRY_MS);
    });
  }

  /** @param {string|null} text */
  trouble(text) {
    if (this.store.trouble === text) return;
    this.store.trouble = text;
    this.store.emit("connection");
    this.mark();
  }
}
