// @ts-check
/** Clicks and boxes, from which the colors around them make the current object's mask. */

import { replaceObject } from "../core/raster.js";
import { geodesic } from "./geodesic.js";
import { obstacle, Tool } from "./tool.js";

/** @typedef {import("./tool.js").Point} Point */

const DRAG_PIXELS = 6;
const EDGE = 640; // long edge of the picture in which regions grow
const INNER = 0.3; // half axes of the ellipse in a box that belongs to the object, as part of the box

export class PromptTool extends Tool {
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
    const problem = obstacle(this.store);
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
    if (far) this.box = [Math.min(start[0], end[0]), Math.min(start[1], end[1]), Math.max(start[0], end[0]), Math.max(start[1], end[1])];
    else this.points.push([Math.floor(start[0]), Math.floor(start[1]), this.negative ? 0 : 1]);
    this.stage.request();
    if (this.box || this.points.some(([, , positive]) => positive)) this.select(far ? "box" : "click");
    this.store.emit("tool");
  }

  /** @param {string} action */
  select(action) {
    const { bitmap } = this.stage;
    const { width, height } = this.editor;
    if (!bitmap) return;
    const scale = Math.min(1, EDGE / Math.max(width, height));
    const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(w, h).getContext("2d"));
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, w, h);
    const small = geodesic(context.getImageData(0, 0, w, h).data, w, h, this.seeds(w, h, w / width, h / height));
    const inside = new Uint8Array(width * height);
    for (let y = 0, at = 0; y < height; y++) {
      const row = Math.min(h - 1, Math.floor((y * h) / height)) * w;
      for (let x = 0; x < width; x++, at++) inside[at] = small[row + Math.min(w - 1, Math.floor((x * w) / width))];
    }
    this.editor.apply(action, (target) => replaceObject(target, inside, this.store.object));
    this.editor.flush();
  }

  /** @param {number} w @param {number} h @param {number} sx @param {number} sy */
  seeds(w, h, sx, sy) {
    const seeds = new Uint8Array(w * h);
    const [x0, y0, x1, y1] = this.box ? [this.box[0] * sx, this.box[1] * sy, this.box[2] * sx, this.box[3] * sy] : [1, 1, w - 1, h - 1];
    const [cx, cy, rx, ry] = [(x0 + x1) / 2, (y0 + y1) / 2, Math.max(1, (x1 - x0) * INNER), Math.max(1, (y1 - y0) * INNER)];
    const fromBox = this.box !== null && !this.points.some(([, , positive]) => positive);
    for (let y = 0, at = 0; y < h; y++) {
      for (let x = 0; x < w; x++, at++) {
        if (x < x0 || x >= x1 || y < y0 || y >= y1) seeds[at] = 2;
        else if (fromBox && ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1) seeds[at] = 1;
      }
    }
    for (const [px, py, positive] of this.points) {
      const [x, y] = [Math.min(w - 1, Math.round(px * sx)), Math.min(h - 1, Math.round(py * sy))];
      for (let j = Math.max(0, y - 2); j <= Math.min(h - 1, y + 2); j++) {
        for (let i = Math.max(0, x - 2); i <= Math.min(w - 1, x + 2); i++) seeds[j * w + i] = positive ? 1 : 2;
      }
    }
    return seeds;
  }

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

  /** The last click goes together with the edit that undo takes back. */
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
    }
    return corners !== null || this.points.length > 0;
  }
}
