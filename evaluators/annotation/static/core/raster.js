// @ts-check
/** Rasterization on masks of ids: discs, polygons, filling, rectangles of changes. */

/** @typedef {import("./types.js").Rect} Rect */
/** @typedef {import("./types.js").Delta} Delta */

/**
 * A mask that an edit may change: ids of a width x height picture, row by row.
 * `may[id]` is 1 if pixels of that id may be replaced.
 * @typedef {{ids: Uint16Array, width: number, height: number, may: Uint8Array}} Target
 */

/** Largest id plus one. */
export const IDS = 65536;

/** @returns {Rect} */
export function emptyRect() {
  return { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
}

/** @param {Rect} r */
export function isEmpty(r) {
  return !(r.x1 > r.x0 && r.y1 > r.y0);
}

/** Extend `into` to include `r`. @param {Rect} into @param {Rect} r */
export function extend(into, r) {
  if (isEmpty(r)) return;
  into.x0 = Math.min(into.x0, r.x0);
  into.y0 = Math.min(into.y0, r.y0);
  into.x1 = Math.max(into.x1, r.x1);
  into.y1 = Math.max(into.y1, r.y1);
}

/** @param {Rect} r @param {number} width @param {number} height @returns {Rect} */
export function clip(r, width, height) {
  return {
    x0: Math.max(0, Math.floor(r.x0)),
    y0: Math.max(0, Math.floor(r.y0)),
    x1: Math.min(width, Math.ceil(r.x1)),
    y1: Math.min(height, Math.ceil(r.y1)),
  };
}

/**
 * Set all pixels whose center is at most `radius` from the segment a-b (positions in image coordinates: the first
 * pixel's center is 0.5, 0.5). A radius of 0.5 sets single pixels in an unbroken line.
 * @param {Target} t @param {number} ax @param {number} ay @param {number} bx @param {number} by
 * @param {number} radius @param {number} id @param {number} only replace this id alone; -1: any that may be replaced
 * @returns {Rect} pixels that were visited
 */
export function stamp(t, ax, ay, bx, by, radius, id, only = -1) {
  if (radius <= 0.5) return stampLine(t, ax, ay, bx, by, id, only);
  const r = clip(
    { x0: Math.min(ax, bx) - radius, y0: Math.min(ay, by) - radius, x1: Math.max(ax, bx) + radius, y1: Math.max(ay, by) + radius },
    t.width,
    t.height,
  );
  const dx = bx - ax;
  const dy = by - ay;
  const length = dx * dx + dy * dy;
  const limit = radius * radius;
  const { ids, width, may } = t;
  for (let y = r.y0; y < r.y1; y++) {
    const py = y + 0.5 - ay;
    let at = y * width + r.x0;
    for (let x = r.x0; x < r.x1; x++, at++) {
      const px = x + 0.5 - ax;
      let along = length ? (px * dx + py * dy) / length : 0;
      along = along < 0 ? 0 : along > 1 ? 1 : along;
      const ex = px - along * dx;
      const ey = py - along * dy;
      if (ex * ex + ey * ey <= limit) {
        const old = ids[at];
        if (may[old] && (only < 0 || old === only)) ids[at] = id;
      }
    }
  }
  return r;
}

/**
 * Set the pixels under a thin line, without gaps.
 * @param {Target} t @param {number} ax @param {number} ay @param {number} bx @param {number} by @param {number} id
 * @param {number} only @returns {Rect}
 */
function stampLine(t, ax, ay, bx, by, id, only) {
  const steps = Math.max(1, Math.ceil(2 * Math.max(Math.abs(bx - ax), Math.abs(by - ay))));
  const rect = emptyRect();
  for (let i = 0; i <= steps; i++) {
    const x = Math.floor(ax + ((bx - ax) * i) / steps);
    const y = Math.floor(ay + ((by - ay) * i) / steps);
    if (x < 0 || y < 0 || x >= t.width || y >= t.height) continue;
    const old = t.ids[y * t.width + x];
    if (t.may[old] && (only < 0 || old === only)) t.ids[y * t.width + x] = id;
    extend(rect, { x0: x, y0: y, x1: x + 1, y1: y + 1 });
  }
  return rect;
}

/**
 * Set all pixels whose center lies inside a polygon (even-odd rule).
 * @param {Target} t @param {[number, number][]} points @param {number} id @param {number} only as in `stamp`
 * @returns {Rect}
 */
export function fillPolygon(t, points, id, only = -1) {
  const rect = emptyRect();
  if (points.length < 3) return rect;
  const top = Math.max(0, Math.floor(Math.min(...points.map((p) => p[1]))));
  const bottom = Math.min(t.height, Math.ceil(Math.max(...points.map((p) => p[1]))));
  for (let y = top; y < bottom; y++) {
    const center = y + 0.5;
    /** @type {number[]} */
    const crossings = [];
    for (let i = 0; i < points.length; i++) {
      const [ax, ay] = points[i];
      const [bx, by] = points[(i + 1) % points.length];
      if (ay <= center !== by <= center) crossings.push(ax + ((center - ay) * (bx - ax)) / (by - ay));
    }
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const from = Math.max(0, Math.ceil(crossings[i] - 0.5));
      const to = Math.min(t.width, Math.ceil(crossings[i + 1] - 0.5));
      for (let x = from; x < to; x++) {
        const old = t.ids[y * t.width + x];
        if (t.may[old] && (only < 0 || old === only)) t.ids[y * t.width + x] = id;
      }
      if (to > from) extend(rect, { x0: from, y0: y, x1: to, y1: y + 1 });
    }
  }
  return rect;
}

/**
 * Set the connected region of equal ids around a pixel (4 neighbors).
 * @param {Target} t @param {number} x @param {number} y @param {number} id @returns {Rect}
 */
export function floodFill(t, x, y, id) {
  const { ids, width, height } = t;
  const rect = emptyRect();
  const old = ids[y * width + x];
  if (old === id || !t.may[old]) return rect;
  const stack = [x, y];
  while (stack.length) {
    const row = /** @type {number} */ (stack.pop());
    let left = /** @type {number} */ (stack.pop());
    const base = row * width;
    if (ids[base + left] !== old) continue;
    while (left > 0 && ids[base + left - 1] === old) left--;
    let above = false;
    let below = false;
    let right = left;
    for (; right < width && ids[base + right] === old; right++) {
      ids[base + right] = id;
      if (row > 0) above = pushStart(stack, ids[base - width + right] === old, above, right, row - 1);
      if (row + 1 < height) below = pushStart(stack, ids[base + width + right] === old, below, right, row + 1);
    }
    extend(rect, { x0: left, y0: row, x1: right, y1: row + 1 });
  }
  return rect;
}

/**
 * Remember the first pixel of a run for a later row.
 * @param {number[]} stack @param {boolean} match @param {boolean} inside @param {number} x @param {number} y
 */
function pushStart(stack, match, inside, x, y) {
  if (match && !inside) stack.push(x, y);
  return match;
}

/**
 * Give an object the pixels of a binary mask, and remove it from all others.
 * @param {Target} t @param {Uint8Array} inside one byte per pixel @param {number} id @returns {Rect}
 */
export function replaceObject(t, inside, id) {
  const rect = emptyRect();
  const { ids, width, height, may } = t;
  for (let y = 0, at = 0; y < height; y++) {
    let first = -1;
    let last = -1;
    for (let x = 0; x < width; x++, at++) {
      const old = ids[at];
      const wanted = inside[at] ? id : old === id ? 0 : old;
      if (wanted === old || !may[old]) continue;
      ids[at] = wanted;
      if (first < 0) first = x;
      last = x;
    }
    if (last >= 0) extend(rect, { x0: first, y0: y, x1: last + 1, y1: y + 1 });
  }
  return rect;
}

/** Copy a rectangle out of a mask. @param {Uint16Array} ids @param {number} width @param {Rect} r @returns {Uint16Array} */
export function cut(ids, width, r) {
  const w = r.x1 - r.x0;
  const part = new Uint16Array(w * (r.y1 - r.y0));
  for (let y = r.y0, at = 0; y < r.y1; y++, at += w) part.set(ids.subarray(y * width + r.x0, y * width + r.x1), at);
  return part;
}

/** Write a rectangle into a mask. @param {Uint16Array} ids @param {number} width @param {Rect} r @param {Uint16Array} part */
export function paste(ids, width, r, part) {
  const w = r.x1 - r.x0;
  for (let y = r.y0, at = 0; y < r.y1; y++, at += w) ids.set(part.subarray(at, at + w), y * width + r.x0);
}

/**
 * Apply only the pixels that an edit changed. @param {Uint16Array} ids @param {number} width @param {Delta} delta
 * @param {Uint8Array} may
 */
export function applyDelta(ids, width, delta, may) {
  const { rect, before, after } = delta;
  for (let y = rect.y0, at = 0; y < rect.y1; y++) {
    for (let x = rect.x0; x < rect.x1; x++, at++) {
      if (before[at] !== after[at] && may[ids[y * width + x]]) ids[y * width + x] = after[at];
    }
  }
}

/** @param {Uint16Array} a @param {Uint16Array} b */
export function equal(a, b) {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
