// @ts-check
/** Edits of masks, with undo and redo. Everything stays in the page's memory. */

import { Masks, toRuns } from "./masks.js";

/** @typedef {import("./masks.js").Entry} Entry */
/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types.js").Delta} Delta */
/** Masks before and after a step. @typedef {{text: string, changes: {frame: number, before: Entry|undefined, after: Entry|undefined}[]}} Step */

const STEPS = 200;

export class Saver {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.masks = new Masks();
    /** @type {Step[]} */
    this.done = [];
    /** @type {Step[]} */
    this.undone = [];
    /** An edit isn't stored yet. */
    this.open = false;
    /** Masks changed since the last download. */
    this.changed = false;
  }

  /** Forget everything: another clip is open. */
  clear() {
    this.masks = new Masks();
    this.done = [];
    this.undone = [];
    this.changed = false;
  }

  mark() {}

  /** Return true if an edit of a frame is pending; never, since edits are stored at once. @param {number} _frame */
  has(_frame) {
    return false;
  }

  /**
   * Store an edited mask as given. @param {number} frame @param {{ids: Uint16Array}} mask
   * @param {Delta|null} _delta @param {string} action "clear": remove the mask
   */
  add(frame, mask, _delta, action) {
    this.apply(action, [[frame, action === "clear" ? undefined : { runs: toRuns(mask.ids), given: true }]]);
  }

  /** Change masks in one step of undo. @param {string} text @param {[number, Entry|undefined][]} changes */
  apply(text, changes) {
    const step = { text, changes: changes.map(([frame, after]) => ({ frame, before: this.masks.entries.get(frame), after })) };
    for (const { frame, after } of step.changes) this.masks.set(frame, after);
    this.done = [...this.done, step].slice(-STEPS);
    this.undone = [];
    this.publish();
  }

  /** Store a propagated mask, which undo doesn't revert. @param {number} frame @param {Uint8Array|Uint16Array} ids */
  predict(frame, ids) {
    this.masks.set(frame, { runs: toRuns(ids), given: false });
    this.publish();
  }

  /** Undo or redo a step; return its text and frames, or null. @param {"undo"|"redo"} which */
  history(which) {
    const [from, to] = which === "undo" ? [this.done, this.undone] : [this.undone, this.done];
    const step = from.pop();
    if (!step) return null;
    to.push(step);
    for (const { frame, before, after } of step.changes) this.masks.set(frame, which === "undo" ? before : after);
    this.publish();
    return { text: step.text, frames: step.changes.map(({ frame }) => frame) };
  }

  /** Show the page which frames have masks. */
  publish() {
    const { clip } = this.store;
    if (!clip) return;
    this.changed = true;
    clip.given = this.masks.given;
    clip.masked = this.masks.ranges;
    clip.undo = this.done[this.done.length - 1]?.text ?? null;
    clip.redo = this.undone[this.undone.length - 1]?.text ?? null;
    this.store.emit("info");
  }
}
