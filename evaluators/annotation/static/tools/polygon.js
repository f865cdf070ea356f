// @ts-check
/** Polygon by clicks, and lasso by dragging. */

import { fillPolygon } from "../core/raster.js";
import { obstacle, Tool } from "./tool.js";

/** @typedef {import("./tool.js").Point} Point */

const CLOSE_PIXELS = 10;

export class PolygonTool extends Tool {
  /** @type {Point[]} */
  points = [];
  /** Number of points before each click or drag, for undo. @type {number[]} */
  steps = [];
  /** @type {Point|null} */
  pointer = null;
  subtract = false;
  dragged = 0;

  /** @param {Point} point @param {PointerEvent} _event @param {boolean} second */
  down(point, _event, second) {
    const problem = obstacle(this.store);
    if (problem) return this.session.say(problem, "error");
    if (this.points.length > 2 && this.near(point, this.points[0])) return void this.accept();
    if (!this.points.length) this.subtract = second;
    this.steps.push(this.points.length);
    this.points.push(point);
    this.dragged = 0;
    this.stage.request();
  }

  /** @param {Point[]} points */
  move(points) {
    if (!this.points.length) return;
    for (const point of points) {
      const [x, y] = this.points[this.points.length - 1];
      if (Math.hypot(point[0] - x, point[1] - y) * this.stage.zoom < 2) continue;
      this.points.push(point);
      this.dragged++;
    }
    this.stage.request();
  }

  /** @param {Point} point */
  up(point) {
    this.pointer = point;
    if (this.dragged > 8 && this.steps.length === 1) this.accept(); // a lasso from its first point
  }

  /** @param {Point} point */
  hover(point) {
    this.pointer = point;
    if (this.points.length) this.stage.request();
  }

  accept() {
    const points = this.points;
    this.points = [];
    this.steps = [];
    this.stage.request();
    if (points.length < 3) return points.length > 0;
    const { object } = this.store;
    this.editor.apply("polygon", (target) => {
      return this.subtract ? fillPolygon(target, points, 0, object) : fillPolygon(target, points, object);
    });
    return true;
  }

  cancel() {
    const begun = this.points.length > 0;
    this.points = [];
    this.steps = [];
    if (begun) this.stage.request();
    return begun;
  }

  back() {
    const length = this.steps.pop();
    if (length === undefined) return false;
    this.points.length = length;
    this.stage.request();
    return true;
  }

  /** @param {Point} a @param {Point} b */
  near(a, b) {
    return Math.hypot(a[0] - b[0], a[1] - b[1]) * this.stage.zoom < CLOSE_PIXELS;
  }

  /** @param {CanvasRenderingContext2D} context */
  draw(context) {
    if (!this.points.length) return false;
    const line = [...this.points, ...(this.pointer ? [this.pointer] : [])].map((p) => this.stage.toScreen(p));
    const ratio = this.stage.ratio;
    context.beginPath();
    line.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.fillStyle = this.subtract ? "rgba(255,90,90,.18)" : "rgba(255,255,255,.14)";
    context.fill();
    for (const [color, width] of /** @type {[string, number][]} */ ([["rgba(0,0,0,.7)", 3], ["#fff", 1.5]])) {
      context.strokeStyle = color;
      context.lineWidth = width * ratio;
      context.stroke();
    }
    const [x, y] = line[0];
    const closes = this.pointer && this.points.length > 2 && this.near(this.pointer, this.points[0]);
    context.beginPath();
    context.arc(x, y, (closes ? 7 : 4) * ratio, 0, 2 * Math.PI);
    context.fillStyle = "#fff";
    context.fill();
    context.stroke();
    return true;
  }
}

