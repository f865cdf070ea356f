// @ts-check
/** Preprocessing of frames and masks: resizing as in OpenCV, normalization, and the meaning of 255. */

/** @typedef {import("./graphs.js").Manifest} Manifest */
/** @typedef {{data: Uint8Array|Uint8ClampedArray, width: number, height: number}} Picture */
/** @typedef {Uint8Array|Uint8ClampedArray|Uint16Array|Int32Array} Ids */

const MAX_ID = 65535;
const WHITE = 255;
/** A mask with more values than this, up to 255, has smooth edges. */
const SMOOTH = 100;
const CUBIC = -0.75;

/** Weights of 4 neighbors, from one before a position to two after it. @type {Record<string, (x: number) => number[]>} */
const KERNELS = {
  bilinear: (x) => [0, 1 - x, x, 0],
  bicubic: (x) => {
    const far = (/** @type {number} */ d) => ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC;
    const near = (/** @type {number} */ d) => ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1;
    const weights = [far(x + 1), near(x), near(1 - x)];
    return [...weights, 1 - weights[0] - weights[1] - weights[2]];
  },
};

/**
 * Positions and weights along one axis; pixels beyond the border repeat it.
 * @param {number} old length @param {number} length new length @param {string} kind
 */
function taps(old, length, kind) {
  const at = new Int32Array(4 * length);
  const weights = new Float32Array(4 * length);
  for (let i = 0; i < length; i++) {
    const position = (i + 0.5) * (old / length) - 0.5;
    const first = Math.floor(position);
    KERNELS[kind](position - first).forEach((weight, k) => {
      at[4 * i + k] = Math.min(Math.max(first + k - 1, 0), old - 1);
      weights[4 * i + k] = weight;
    });
  }
  return { at, weights };
}

/**
 * Resize one channel of a picture, rows first, then columns.
 * @param {Float32Array} values @param {number} width @param {number} height @param {number} newWidth
 * @param {number} newHeight @param {string} kind
 */
function resized(values, width, height, newWidth, newHeight, kind) {
  if (width === newWidth && height === newHeight) return values;
  const columns = taps(width, newWidth, kind);
  const rows = taps(height, newHeight, kind);
  const wide = new Float32Array(height * newWidth);
  for (let y = 0; y < height; y++) {
    const base = y * width;
    for (let x = 0, k = 0; x < newWidth; x++, k += 4) {
      const { at, weights } = columns;
      wide[y * newWidth + x] =
        values[base + at[k]] * weights[k] + values[base + at[k + 1]] * weights[k + 1] +
        values[base + at[k + 2]] * weights[k + 2] + values[base + at[k + 3]] * weights[k + 3];
    }
  }
  const out = new Float32Array(newHeight * newWidth);
  for (let y = 0; y < newHeight; y++) {
    const [a, b, c, d] = Array.from({ length: 4 }, (_, k) => rows.at[4 * y + k] * newWidth);
    const [p, q, r, s] = rows.weights.subarray(4 * y, 4 * y + 4);
    for (let x = 0; x < newWidth; x++) out[y * newWidth + x] = wide[a + x] * p + wide[b + x] * q + wide[c + x] * r + wide[d + x] * s;
  }
  return out;
}

/**
 * Resize and normalize a frame as the manifest defines.
 * @param {Picture} frame @param {Manifest} manifest @returns {import("./graphs.js").Tensor} [1, 3, h, w]
 */
export function normalized({ data, width, height }, manifest) {
  const { interpolation, mean, std } = manifest.preprocessing;
  const [h, w] = manifest.image_size;
  const stride = data.length / (width * height);
  const out = new Float32Array(3 * h * w);
  const channel = new Float32Array(width * height);
  for (let c = 0; c < 3; c++) {
    for (let i = 0, at = c; i < channel.length; i++, at += stride) channel[i] = data[at];
    const values = resized(channel, width, height, w, h, interpolation);
    const [offset, scale] = [Math.fround(mean[c]), Math.fround(std[c])];
    const base = c * h * w;
    for (let i = 0; i < h * w; i++) out[base + i] = Math.fround(Math.fround(values[i] / 255) - offset) / scale;
  }
  return { data: out, dims: [1, 3, h, w] };
}

/**
 * Return the ids of a mask, and whether its 255 was read as "on": if it has no other value and no object has the id 255.
 * @param {Ids} mask @param {number} pixels @param {number[]} objectIds ids so far @param {boolean} white an earlier mask was
 * @returns {{ids: Int32Array, white: boolean}}
 */
export function maskIds(mask, pixels, objectIds, white) {
  if (mask.length !== pixels) throw new RangeError(`the mask has ${mask.length} pixels, the frame ${pixels}: they must be equal`);
  const ids = Int32Array.from(mask);
  const values = new Set(ids);
  for (const id of values) {
    if (id < 0 || id > MAX_ID) throw new RangeError(`object ids must be 1 to ${MAX_ID} (0 is the background), but the mask holds ${id}`);
  }
  const bytes = mask.BYTES_PER_ELEMENT === 1;
  if (bytes && values.size > SMOOTH) throw new RangeError("the mask has smooth edges: pass ids, such as 1 for values above 127");
  if (!bytes || !values.has(WHITE) || objectIds.includes(WHITE)) return { ids, white: false };
  if ([...values].every((id) => id === 0 || id === WHITE)) return { ids: ids.map((id) => (id ? 1 : 0)), white: true };
  if (white) throw new RangeError("an earlier mask of 0 and 255 was read as object 1, and this one has 255 next to other values");
  return { ids, white: false };
}
