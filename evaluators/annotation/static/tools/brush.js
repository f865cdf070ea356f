// @ts-check
/** Round brush and eraser. */

import * as raster from "../core/raster.js";
import { obstacle, Tool } from "./tool.js";

/** @typedef {import("./tool.js").Point} Point */

export class BrushTool extends Tool {
  /** @param {import("../core/session.js").Session} session @param {import("../view/stage.js").Stage} stage @param {boolean} erases */
  constructor(session, stage, erases) {
    super(session, stage);
    this.erases = erases;
    /** @type {Point|null} */
    this.last = null;
    /** End of the previous stroke, for straight lines. @type {{point: Point, frame: number}|null} */
    this.before = null;
    this.erasing = false;
  }

  get ring() {
    return true;
  }

  /** @param {Point} point @param {PointerEvent} event @param {boolean} second */
  down(point, event, second) {
    this.erasing = this.erases !== second;
    const problem = this.erasing && this.store.eraseAll ? null : obstacle(this.store);
    if (problem) return this.session.say(problem, "error");
    this.editor.begin(this.erasing ? "erase" : "paint");
    const straight = event.shiftKey && this.before?.frame === this.store.frame;
    this.last = straight && this.before ? this.before.point : point;
    this.line(point);
  }

  /** @param {Point[]} points */
  move(points) {
    if (this.last) for (const point of points) this.line(point);
  }

  /** @param {Point} point */
  up(point) {
    if (!this.last) return;
    this.before = { point, frame: this.store.frame };
    this.last = null;
    this.editor.end();
  }

  /** @param {Point} point */
  line(point) {
    if (!this.last || !this.editor.active) return; // a key has ended or undone the edit
    const [ax, ay] = this.last;
    const { object, brush, eraseAll } = this.store;
    const id = this.erasing ? 0 : object;
    const only = this.erasing && !eraseAll ? object : -1;
    this.editor.touch(raster.stamp(this.editor.target, ax, ay, point[0], point[1], brush / 2, id, only));
    this.last = point;
  }

  cancel() {
    if (!this.last) return false;
    this.last = null;
    this.editor.cancel();
    return true;
  }
}
