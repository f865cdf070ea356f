// @ts-check
/** Rendering of id masks: each screen pixel looks up its id, so edges are sharp at any zoom. */

/** Scale (screen pixels per image pixel) and the image's corner on the screen. @typedef {{scale: number, x: number, y: number}} View */
/** @typedef {import("../core/types.js").Rect} Rect */
/** @typedef {import("./colors.js").Colors} Colors */

/** @param {number} value @param {number} low @param {number} high */
const clamp = (value, low, high) => (value < low ? low : value > high ? high : value);

/**
 * The screen's rectangle that an image's rectangle covers, with a margin, within the image and the screen.
 * @param {Rect} r @param {View} view @param {number} width of the image @param {number} height @param {number} margin
 * @param {{width: number, height: number}} screen @returns {Rect}
 */
export function onScreen(r, view, width, height, margin, screen) {
  const { scale, x, y } = view;
  const right = Math.min(screen.width, Math.round(x + width * scale));
  const bottom = Math.min(screen.height, Math.round(y + height * scale));
  return {
    x0: clamp(Math.floor(x + r.x0 * scale) - margin, Math.max(0, x), right),
    y0: clamp(Math.floor(y + r.y0 * scale) - margin, Math.max(0, y), bottom),
    x1: clamp(Math.ceil(x + r.x1 * scale) + margin, 0, right),
    y1: clamp(Math.ceil(y + r.y1 * scale) + margin, 0, bottom),
  };
}

/**
 * Draw a rectangle of the screen.
 * @param {CanvasRenderingContext2D} context @param {Rect} r in screen pixels, within the image
 * @param {Uint16Array} ids @param {number} width @param {number} height @param {View} view @param {Colors} colors
 * @param {number} thickness of edges, in screen pixels
 */
export function paint(context, r, ids, width, height, view, colors, thickness) {
  const columns = r.x1 - r.x0;
  const rows = r.y1 - r.y0;
  if (columns <= 0 || rows <= 0) return;
  const { fill, edge } = colors;
  const d = thickness;
  const sampled = columns + 2 * d;
  const xs = new Int32Array(sampled);
  for (let i = 0; i < sampled; i++) xs[i] = clamp(Math.floor((r.x0 + i - d + 0.5 - view.x) / view.scale), 0, width - 1);
  const ring = Array.from({ length: 2 * d + 1 }, () => new Uint16Array(sampled));
  const sources = new Int32Array(2 * d + 1).fill(-1);
  /** Ids of one row of the screen. @param {number} row */
  const sample = (row) => {
    const slot = (((row + d) % ring.length) + ring.length) % ring.length;
    const source = clamp(Math.floor((row + 0.5 - view.y) / view.scale), 0, height - 1);
    const line = ring[slot];
    if (sources[slot] !== source) {
      const base = source * width;
      for (let i = 0; i < sampled; i++) line[i] = ids[base + xs[i]];
      sources[slot] = source;
    }
    return line;
  };
  const picture = context.createImageData(columns, rows);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let i = 0; i < d; i++) {
    sample(r.y0 - d + i);
    sample(r.y0 + i);
  }
  for (let row = r.y0, at = 0; row < r.y1; row++) {
    const below = sample(row + d);
    const above = sample(row - d);
    const line = sample(row);
    for (let i = d; i < d + columns; i++, at++) {
      const id = line[i];
      const inside = line[i - d] === id && line[i + d] === id && above[i] === id && below[i] === id;
      pixels[at] = inside ? fill[id] : edge[id];
    }
  }
  context.putImageData(picture, r.x0, r.y0);
}
