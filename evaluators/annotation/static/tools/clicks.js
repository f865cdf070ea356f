// @ts-check
/** Clicks and boxes, from which each page's prompt tool makes the current object's mask. */

import { obstacle, Tool } from "./tool.js";

/** @typedef {import("./tool.js").Point} Point */

const DRAG_PIXELS = 6;

export class ClickTool extends Tool {
  /** Positive and negative clicks. @type {[number, number, 0|1][]} */
  points = [];
  /** @type {[number, number, number, number]|null} */
  box = null;
  /** @type {Point|null} */
  start = null;
  /** @type {Point|null} */
  end = null;
  negative = false;
  prompter = "";
  waiting = false;

  /** @param {Point} point @param {PointerEvent} event @param {boolean} second */
  down(point, event, second) {
    const problem = this.obstacle();
    if (problem) return this.session.say(problem, "error");
    this.start = this.end = this.inside(point);
    this.negative = second || event.altKey;
  }

  /** @param {Point[]} points */
  move(points) {
    if (!this.start) return;
    this.end = this.inside(points[points.length - 1]);
    this.stage.request();
  }

  up() {
    const { start, end } = this;
    this.start = this.end = null;
    if (!start || !end) return;
    const far = Math.max(Math.abs(end[0] - start[0]), Math.abs(end[1] - start[1])) * this.stage.zoom >= DRAG_PIXELS;
    if (far) {
      this.box = [Math.min(start[0], end[0]), Math.min(start[1], end[1]), Math.max(start[0], end[0]), Math.max(start[1], end[1])];
      this.box = /** @type {[number, number, number, number]} */ (this.box.map(Math.round));
    } else this.points.push([Math.floor(start[0]), Math.floor(start[1]), this.negative ? 0 : 1]);
    this.stage.request();
    this.ask(far ? "box" : "click");
  }

  /** The reason why a click isn't possible, if any. */
  obstacle() {
    return obstacle(this.store);
  }

  /** Make the mask of all clicks and the box. @param {string} _action */
  ask(_action) {}

  cancel() {
    const begun = this.points.length > 0 || this.box !== null;
    this.points = [];
    this.box = this.start = null;
    if (begun) {
      this.stage.request();
      this.store.emit("tool");
    }
    return begun;
  }

  accept() {
    return this.cancel();
  }

  /** Remove the last click along with the edit that undo reverts. */
  undone() {
    if (!this.points.pop()) this.box = null;
    this.stage.request();
  }

  /** @param {Point} point @returns {Point} */
  inside([x, y]) {
    return [Math.min(Math.max(x, 0), this.editor.width - 1), Math.min(Math.max(y, 0), this.editor.height - 1)];
  }

  /** @param {CanvasRenderingContext2D} context */
  draw(context) {
    const ratio = this.stage.ratio;
    const corners = this.start && this.end ? [...this.start, ...this.end] : this.box;
    if (corners) {
      const [x0, y0] = this.stage.toScreen([corners[0], corners[1]]);
      const [x1, y1] = this.stage.toScreen([corners[2], corners[3]]);
      for (const [color, width] of /** @type {[string, number][]} */ ([["rgba(0,0,0,.7)", 3], ["#fff", 1.5]])) {
        context.strokeStyle = color;
        context.lineWidth = width * ratio;
        context.strokeRect(x0, y0, x1 - x0, y1 - y0);
      }
    }
    for (const [px, py, positive] of this.points) {
      const [x, y] = this.stage.toScreen([px + 0.5, py + 0.5]);
      context.beginPath();
      context.arc(x, y, 6 * ratio, 0, 2 * Math.PI);
      context.fillStyle = positive ? "#2fbf71" : "#e5484d";
      context.fill();
      context.strokeStyle = "#fff";
      context.lineWidth = 2 * ratio;
      context.stroke();
      context.beginPath();
      context.moveTo(x - 3 * ratio, y);
      context.lineTo(x + 3 * ratio, y);
      if (positive) {
        context.moveTo(x, y - 3 * ratio);
        context.lineTo(x, y + 3 * ratio);
      }
      context.stroke();
    }
    return corners !== null || this.points.length > 0;
  }
}
