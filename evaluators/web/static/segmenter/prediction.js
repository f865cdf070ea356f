// @ts-check
/** Likeliest slot of each pixel, from the logits of all groups. */

/** @typedef {import("./graphs.js").Tensor} Tensor */

const UNUSED = -1e10;
const CERTAIN = 1 - 1e-5;
/** Clamp of objects' probabilities if the background is not a class. */
const LOWEST = 1e-30;

/**
 * Keep the background and the identities of slots of a single group, whose softmax leaves out unused identities.
 * @param {Tensor} logits [1, K, h, w] @param {number[]} slots @returns {Tensor}
 */
export function usedChannels({ data, dims }, slots) {
  const pixels = dims[2] * dims[3];
  const out = new Float32Array((slots.length + 1) * pixels);
  [0, ...slots].forEach((k, row) => out.set(/** @type {Float32Array} */ (data).subarray(k * pixels, (k + 1) * pixels), row * pixels));
  return { data: out, dims: [1, slots.length + 1, dims[2], dims[3]] };
}

/**
 * Join the logits of several groups; identities without an object get -1e10.
 * @param {Tensor[]} groups each [1, K, h, w] @param {number[]} slots @param {number} identities @returns {Tensor} [G, K, h, w]
 */
export function maskedGroups(groups, slots, identities) {
  const [, classes, h, w] = groups[0].dims;
  const out = new Float32Array(groups.length * classes * h * w).fill(UNUSED);
  const used = groups.flatMap((_, g) => [g * classes]);
  used.push(...slots.map((s) => Math.floor((s - 1) / identities) * classes + 1 + ((s - 1) % identities)));
  for (const row of used) {
    const source = /** @type {Float32Array} */ (groups[Math.floor(row / classes)].data);
    const first = (row % classes) * h * w;
    out.set(source.subarray(first, first + h * w), row * h * w);
  }
  return { data: out, dims: [groups.length, classes, h, w] };
}

/**
 * Merge the logits of several groups to log odds of all classes, [1 + G * (K - 1), H, W] (AOT, section 4.1): the
 * background's probability is the product of the groups', objects are concatenated.
 * @param {Tensor} logits [G, K, H, W] @param {boolean} background @returns {Float32Array}
 */
export function mergedGroups({ data, dims }, background) {
  const [groups, classes, h, w] = dims;
  const pixels = h * w;
  const values = /** @type {Float32Array} */ (data);
  const out = new Float32Array((1 + groups * (classes - 1)) * pixels);
  const powers = new Float64Array(classes);
  const low = background ? 1e-5 : LOWEST;
  const odds = (/** @type {number} */ p) => {
    const clamped = Math.fround(Math.min(Math.max(p, low), CERTAIN));
    return Math.log(clamped / Math.fround(1 - clamped));
  };
  for (let i = 0; i < pixels; i++) {
    let ground = 1;
    for (let g = 0; g < groups; g++) {
      const base = g * classes * pixels + i;
      let most = -Infinity;
      for (let k = 0; k < classes; k++) most = Math.max(most, values[base + k * pixels]);
      let sum = 0;
      for (let k = 0; k < classes; k++) sum += powers[k] = Math.exp(values[base + k * pixels] - most);
      ground *= powers[0] / sum;
      for (let k = 1; k < classes; k++) out[(1 + g * (classes - 1) + k - 1) * pixels + i] = odds(powers[k] / sum);
    }
    out[i] = odds(ground);
  }
  return out;
}

/**
 * Return the likeliest slot of each pixel; of equal ones, the first.
 * @param {Float32Array} scores classes x pixels @param {number} pixels @param {number[]} slots @param {number[]} rows of the
 * background and the slots @param {boolean} background false: every pixel belongs to an object
 */
export function likeliest(scores, pixels, slots, rows, background) {
  const out = new Int32Array(pixels);
  const best = background ? scores.slice(rows[0] * pixels, (rows[0] + 1) * pixels) : new Float32Array(pixels).fill(UNUSED);
  slots.forEach((slot, k) => {
    const base = rows[k + 1] * pixels;
    for (let i = 0; i < pixels; i++) {
      if (scores[base + i] > best[i]) {
        best[i] = scores[base + i];
        out[i] = slot;
      }
    }
  });
  return out;
}
