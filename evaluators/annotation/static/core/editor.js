// @ts-check
/** Editing of the shown frame: changes by tools, sent to the server when an edit ends. */

import * as raster from "./raster.js";

/** @typedef {import("./types.js").Rect} Rect */
/** @typedef {import("./types.js").Delta} Delta */
/** @typedef {import("./frames.js").Mask} Mask */
/** @typedef {import("./saver.js").Saver} Saver */
/** @typedef {import("./store.js").Store} Store */

const SAVE_MS = 300;

export class Editor {
  /** @param {Store} store @param {Saver} saver */
  constructor(store, saver) {
    this.store = store;
    this.saver = saver;
    this.frame = -1;
    this.width = 0;
    this.height = 0;
    /** @type {Mask|null} */
    this.mask = null;
    /** The mask of `baseOf` before the current edit. */
    this.base = new Uint16Array(0);
    /** @type {Mask|null} */
    this.baseOf = null;
    this.may = new Uint8Array(raster.IDS);
    this.active = false;
    this.action = "paint";
    this.dirty = raster.emptyRect();
    /** @type {{delta: Delta, action: string}|null} */
    this.unsaved = null;
    /** Number of edits so far. */
    this.edits = 0;
    this.timer = 0;
    /** Called with the rectangle that changed. @type {(rect: Rect|null) => void} */
    this.onPixels = () => {};
    /** @type {(() => void)[]} */
    this.waiting = [];
    store.on(["objects", "view", "info", "clip"], () => this.readLocks());
  }

  readLocks() {
    this.may.fill(this.store.solo === null ? 1 : 0);
    this.may[0] = 1;
    for (const object of this.store.objects) this.may[object.id] = this.store.isEditable(object.id) ? 1 : 0;
  }

  /** Edit a frame from now on. @param {number} frame @param {Mask} mask */
  show(frame, mask) {
    this.flush();
    this.frame = frame;
    this.mask = mask;
    this.width = this.store.clip?.width ?? 0;
    this.height = this.store.clip?.height ?? 0;
    this.baseOf = null;
  }

  /** Edit no frame until one of another clip is shown. */
  leave() {
    this.flush();
    this.frame = -1;
    this.mask = this.baseOf = null;
    this.width = this.height = 0;
  }

  /** @returns {raster.Target} */
  get target() {
    const ids = this.mask?.ids ?? new Uint16Array(0);
    return { ids, width: this.width, height: this.height, may: this.may };
  }

  /** Begin an edit, which becomes one step of undo. @param {string} action */
  begin(action) {
    this.flush();
    if (!this.mask) return;
    if (this.baseOf !== this.mask) {
      if (this.base.length !== this.mask.ids.length) this.base = new Uint16Array(this.mask.ids.length);
      this.base.set(this.mask.ids);
      this.baseOf = this.mask;
    }
    this.active = true;
    this.action = action;
    this.dirty = raster.emptyRect();
  }

  /** Record the rectangle that an edit has changed. @param {Rect} rect */
  touch(rect) {
    if (raster.isEmpty(rect)) return;
    raster.extend(this.dirty, rect);
    this.onPixels(rect);
  }

  /** End an edit and save it a moment later. */
  end() {
    if (!this.active || !this.mask) return;
    this.active = false;
    const rect = raster.clip(this.dirty, this.width, this.height);
    if (!raster.isEmpty(rect)) {
      const before = raster.cut(this.base, this.width, rect);
      const after = raster.cut(this.mask.ids, this.width, rect);
      if (!raster.equal(before, after)) {
        raster.paste(this.base, this.width, rect, after);
        this.unsaved = { delta: { rect, before, after }, action: this.action };
        this.edits += 1;
        this.saver.open = true;
        this.saver.mark();
        this.timer = window.setTimeout(() => this.flush(), SAVE_MS);
      }
    }
    this.release();
  }

  /** Cancel an edit that hasn't ended. */
  cancel() {
    if (!this.active || !this.mask) return;
    this.active = false;
    const rect = raster.clip(this.dirty, this.width, this.height);
    if (!raster.isEmpty(rect)) {
      raster.paste(this.mask.ids, this.width, rect, raster.cut(this.base, this.width, rect));
      this.onPixels(rect);
    }
    this.release();
  }

  release() {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  /** Wait for the end of an edit. @returns {Promise<void>} */
  ended() {
    return this.active ? new Promise((resolve) => this.waiting.push(resolve)) : Promise.resolve();
  }

  /** Return true if an edit of a frame isn't on the server yet. @param {number} frame */
  pending(frame) {
    return (this.frame === frame && this.unsaved !== null) || this.saver.has(frame);
  }

  /** Send what isn't saved yet. */
  flush() {
    if (this.active) this.end();
    window.clearTimeout(this.timer);
    if (!this.unsaved || !this.mask) return;
    const { delta, action } = this.unsaved;
    this.unsaved = null;
    this.saver.open = false;
    this.saver.add(this.frame, this.mask, delta, action);
  }

  /** Make an edit in one call: begin, let `change` edit the mask, end. @param {string} action @param {(t: raster.Target) => Rect} change */
  apply(action, change) {
    this.begin(action);
    this.touch(change(this.target));
    this.end();
  }

  /** Apply rejected edits to the current mask. @param {Delta[]} drafts */
  reapply(drafts) {
    this.apply("reapply", (t) => {
      const rect = raster.emptyRect();
      for (const delta of drafts) {
        raster.applyDelta(t.ids, t.width, delta, t.may);
        raster.extend(rect, delta.rect);
      }
      return rect;
    });
  }

  /** Keep the network's mask as given. */
  keep() {
    this.flush();
    if (this.mask) this.saver.add(this.frame, this.mask, null, "keep");
  }

  /** Remove the frame's mask. */
  clear() {
    this.flush();
    if (!this.mask) return;
    this.mask.ids.fill(0);
    this.baseOf = null;
    this.onPixels(null);
    this.saver.add(this.frame, this.mask, null, "clear");
  }
}
