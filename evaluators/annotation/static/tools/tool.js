// @ts-check
/** Base class of tools. */

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../view/stage.js").Stage} Stage */
/** @typedef {[number, number]} Point */

/** Base of all tools: one that does nothing. Points are positions in the image. */
export class Tool {
  /** @param {Session} session @param {Stage} stage */
  constructor(session, stage) {
    this.session = session;
    this.stage = stage;
  }

  get store() {
    return this.session.store;
  }

  get editor() {
    return this.session.editor;
  }

  /** The tool shows a ring of the brush's size. */
  get ring() {
    return false;
  }

  /** The pointer went down. @param {Point} _point @param {PointerEvent} _event @param {boolean} _second other button or pen's eraser */
  down(_point, _event, _second) {}

  /** The pointer moved while down. @param {Point[]} _points @param {PointerEvent} _event */
  move(_points, _event) {}

  /** The pointer went up. @param {Point} _point @param {PointerEvent} _event */
  up(_point, _event) {}

  /** The pointer moved while up. @param {Point} _point */
  hover(_point) {}

  /** Cancel unfinished work; true if there was any. @returns {boolean} */
  cancel() {
    return false;
  }

  /** Finish pending work; true if there was any. @returns {boolean} */
  accept() {
    return false;
  }

  /** Undo the last point; true if there was one. @returns {boolean} */
  back() {
    return false;
  }

  /** Another tool, frame or object was chosen. */
  leave() {
    this.cancel();
  }

  /** Draw marks; true if there are any. @param {CanvasRenderingContext2D} _context @returns {boolean} */
  draw(_context) {
    return false;
  }
}

/** Return why an object can't be edited; null: it can. @param {import("../core/store.js").Store} store @returns {string|null} */
export function obstacle(store) {
  if (!store.clip) return "Open a clip first.";
  if (store.clip.damaged.includes(store.frame)) return `Frame ${store.frame} is damaged and can't have a mask.`;
  if (store.objectOf(store.object)?.locked) return `${store.nameOf(store.object)} is locked: unlock it in the list of objects.`;
  if (!store.isVisible(store.object)) return `${store.nameOf(store.object)} is hidden: show it in the list of objects.`;
  return null;
}
