// @ts-check
/** Geodesic segmentation: each pixel joins the seeds that it reaches across the smaller sum of color differences. */

const BUCKETS = 1024;

/** Seeds: 1 for the object, 2 for the rest, 0 if unknown. @typedef {Uint8Array} Seeds */

/**
 * Distances grow with the largest difference of a color channel between neighbors, and a little with length
 * (geodesic segmentation: Bai and Sapiro, "A geodesic framework for fast interactive image and video segmentation").
 * @param {Uint8ClampedArray} rgba @param {number} width @param {number} height @param {Seeds} seeds
 * @returns {Uint8Array} 1 for pixels of the object
 */
export function geodesic(rgba, width, height, seeds) {
  const owner = new Uint8Array(width * height);
  const distance = new Int32Array(width * height).fill(0x7fffffff);
  /** Pixels by distance, in a ring: a step is shorter than the ring. @type {number[][]} */
  const ring = Array.from({ length: BUCKETS }, () => []);
  let waiting = 0;
  const push = (/** @type {number} */ pixel, /** @type {number} */ d, /** @type {number} */ who) => {
    if (d >= distance[pixel]) return;
    distance[pixel] = d;
    owner[pixel] = who;
    ring[d % BUCKETS].push(pixel);
    waiting++;
  };
  seeds.forEach((who, pixel) => who && push(pixel, 0, who));
  const step = (/** @type {number} */ a, /** @type {number} */ b) =>
    1 + 3 * Math.max(Math.abs(rgba[4 * a] - rgba[4 * b]), Math.abs(rgba[4 * a + 1] - rgba[4 * b + 1]), Math.abs(rgba[4 * a + 2] - rgba[4 * b + 2]));
  for (let d = 0; waiting; d++) {
    const bucket = ring[d % BUCKETS];
    while (bucket.length) {
      const pixel = /** @type {number} */ (bucket.pop());
      waiting--;
      if (distance[pixel] !== d) continue; // a shorter path was found in the meantime
      const x = pixel % width;
      if (x > 0) push(pixel - 1, d + step(pixel, pixel - 1), owner[pixel]);
      if (x + 1 < width) push(pixel + 1, d + step(pixel, pixel + 1), owner[pixel]);
      if (pixel >= width) push(pixel - width, d + step(pixel, pixel - width), owner[pixel]);
      if (pixel + width < owner.length) push(pixel + width, d + step(pixel, pixel + width), owner[pixel]);
    }
  }
  return owner.map((who) => (who === 1 ? 1 : 0));
}
