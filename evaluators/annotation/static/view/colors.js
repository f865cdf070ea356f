// @ts-check
/** Colors of ids on the canvas, as tables of 32-bit pixels. */

import { palette } from "../core/store.js";

/** @typedef {import("../core/store.js").Store} Store */

const IDS = 65536;

/** @param {string} color #rrggbb @returns {[number, number, number]} */
export function rgb(color) {
  const value = parseInt(color.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** @param {[number, number, number]} color @param {number} alpha 0 to 1 */
function pixel([r, g, b], alpha) {
  return ((Math.round(alpha * 255) << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** @param {[number, number, number]} color @param {number} part 0 to 1 @returns {[number, number, number]} */
function lighten([r, g, b], part) {
  const mix = (/** @type {number} */ c) => Math.round(c + (255 - c) * part);
  return [mix(r), mix(g), mix(b)];
}

/** Pixels of an object's inside and of its edge, by id. */
export class Colors {
  constructor() {
    this.fill = new Uint32Array(IDS);
    this.edge = new Uint32Array(IDS);
    /** Nothing would be drawn. */
    this.blank = false;
  }

  /** Compute the tables for a view. @param {Store} store @param {string} backdrop color of the background in cut-outs */
  update(store, backdrop) {
    const { mode, opacity } = store;
    const known = new Map(store.objects.map((o) => [o.id, rgb(o.color)]));
    const others = palette.map(rgb);
    const background = mode === "mask" ? pixel([0, 0, 0], 1) : mode === "cutout" ? pixel(rgb(backdrop), 1) : 0;
    this.blank = mode === "original";
    for (let id = 0; id < IDS; id++) {
      const color = known.get(id) ?? others[(id + others.length - 1) % others.length];
      const hidden = id === 0 || (known.has(id) || store.solo !== null ? !store.isVisible(id) : false);
      if (hidden) this.fill[id] = this.edge[id] = background;
      else if (mode === "mask") this.fill[id] = this.edge[id] = pixel(color, 1);
      else if (mode === "cutout") this.fill[id] = this.edge[id] = 0;
      else {
        this.fill[id] = mode === "overlay" ? pixel(color, opacity) : 0;
        this.edge[id] = pixel(id === store.object ? lighten(color, 0.55) : color, 0.95);
      }
    }
  }
}
