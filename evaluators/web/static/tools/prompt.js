// @ts-check
/** Clicks and boxes, from which the current object's mask grows by color. */

import { replaceObject } from "../core/raster.js";
import { ClickTool } from "./clicks.js";
import { geodesic } from "./geodesic.js";

const EDGE = 640; // long edge of the picture in which regions grow
const INNER = 0.3; // half axes of the ellipse in a box that belongs to the object, as a fraction of the box

export class PromptTool extends ClickTool {
  /** @param {string} action */
  ask(action) {
    this.store.emit("tool");
    if (!this.box && !this.points.some(([, , positive]) => positive)) return;
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
}
