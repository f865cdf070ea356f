// @ts-check
/** Stray pieces of objects, by the rule of voskit.networks.engines.quality.strays. */

/** @typedef {import("./graphs.js").Tensor} Tensor */

const GONE = -1e10;

/**
 * Set the logits of objects to -1e10 at their stray pieces, in place.
 * @param {Tensor} logits [G, K, h, w] @param {Int32Array} label likeliest slot of each position
 * @param {Int32Array} before slots of the previous frame at the same size @param {number[]} slots
 * @param {number[]} places row of each object among the G * K maps @param {number} distance fraction of the short edge
 */
export function removeStrays({ data, dims }, label, before, slots, places, distance) {
  const [height, width] = dims.slice(2);
  const values = /** @type {Float32Array} */ (data);
  const radius = roundHalfToEven(distance * Math.min(height, width));
  slots.forEach((slot, k) => {
    const first = places[k] * height * width;
    for (const i of strays(label, before, slot, [height, width], radius)) values[first + i] = GONE;
  });
}

/** Round half to even, like Python: 2.5 becomes 2, but `Math.round` returns 3. @param {number} x */
function roundHalfToEven(x) {
  return x % 2 === 0.5 ? Math.floor(x) : Math.round(x);
}

/**
 * Positions of the pieces of an object that are far from its previous mask, if these are at most half of its mask.
 * @param {Int32Array} label @param {Int32Array} before @param {number} slot @param {[number, number]} size @param {number} radius
 */
function strays(label, before, slot, size, radius) {
  const pieces = connected(label, slot, size);
  if (pieces.length < 2) return [];
  const near = reached(before, slot, size, radius);
  const far = pieces.filter((piece) => !piece.some((i) => near[i])).flat();
  return 2 * far.length <= pieces.flat().length ? far : [];
}

/** Connected regions of a slot, by 8 neighbors. @param {Int32Array} label @param {number} slot @param {[number, number]} size */
function connected(label, slot, [height, width]) {
  const seen = new Uint8Array(label.length);
  /** @type {number[][]} */
  const pieces = [];
  for (let start = 0; start < label.length; start++) {
    if (label[start] !== slot || seen[start]) continue;
    const piece = [start];
    seen[start] = 1;
    for (let k = 0; k < piece.length; k++) {
      const [y, x] = [Math.floor(piece[k] / width), piece[k] % width];
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const i = v * width + u;
          if (label[i] !== slot || seen[i]) continue;
          seen[i] = 1;
          piece.push(i);
        }
      }
    }
    pieces.push(piece);
  }
  return pieces;
}

/** Positions in squares around those of a slot. @param {Int32Array} before @param {number} slot @param {[number, number]} size @param {number} radius */
function reached(before, slot, [height, width], radius) {
  const mask = Uint8Array.from(before, (s) => (s === slot ? 1 : 0));
  const rows = widened(mask, height, width, width, 1, radius);
  return widened(rows, width, height, 1, width, radius);
}

/** Widen a mask along one axis. @param {Uint8Array} mask @param {number} lines @param {number} length @param {number} line step between lines @param {number} step within a line @param {number} radius */
function widened(mask, lines, length, line, step, radius) {
  const out = new Uint8Array(mask.length);
  for (let l = 0; l < lines; l++) {
    let last = -Infinity; // place of the latest mark, from each side
    for (let k = 0; k < length; k++) {
      if (mask[l * line + k * step]) last = k;
      if (k - last <= radius) out[l * line + k * step] = 1;
    }
    last = Infinity;
    for (let k = length - 1; k >= 0; k--) {
      if (mask[l * line + k * step]) last = k;
      if (last - k <= radius) out[l * line + k * step] = 1;
    }
  }
  return out;
}
