// @ts-check
/** Run-length encoded masks of a whole clip: a mask of a 1080p frame takes some ten kilobytes instead of two megabytes. */

/** Pairs of an id and a number of pixels, row by row. @typedef {Uint32Array} Runs */

/** @param {Uint8Array|Uint16Array} ids @returns {Runs} */
export function toRuns(ids) {
  /** @type {number[]} */
  const runs = [];
  for (let at = 0; at < ids.length; ) {
    const id = ids[at];
    const first = at;
    while (at < ids.length && ids[at] === id) at++;
    runs.push(id, at - first);
  }
  return Uint32Array.from(runs);
}

/** @param {Runs|undefined} runs undefined: background @param {number} pixels @returns {Uint16Array} */
export function toIds(runs, pixels) {
  const ids = new Uint16Array(pixels);
  for (let i = 0, at = 0; runs && i < runs.length; at += runs[i + 1], i += 2) if (runs[i]) ids.fill(runs[i], at, at + runs[i + 1]);
  return ids;
}

/** Replace an id by the background. @param {Runs} runs @param {number} id @returns {Runs} */
export function without(runs, id) {
  return runs.map((value, i) => (i % 2 === 0 && value === id ? 0 : value));
}

/** Return true if an id is in a mask. @param {Runs} runs @param {number} id */
export function holds(runs, id) {
  return runs.some((value, i) => i % 2 === 0 && value === id);
}

/** A frame's mask and whether the user gave it. @typedef {{runs: Runs, given: boolean}} Entry */

/** Masks by frame. */
export class Masks {
  constructor() {
    /** @type {Map<number, Entry>} */
    this.entries = new Map();
  }

  /** Frames whose masks were given, ascending. */
  get given() {
    return [...this.entries].filter(([, { given }]) => given).map(([frame]) => frame).sort((a, b) => a - b);
  }

  /** Frames with a mask, ascending. */
  get frames() {
    return [...this.entries.keys()].sort((a, b) => a - b);
  }

  /** First and last frame of each range with masks. @returns {[number, number][]} */
  get ranges() {
    /** @type {[number, number][]} */
    const ranges = [];
    for (const frame of this.frames) {
      const last = ranges[ranges.length - 1];
      if (last && last[1] === frame - 1) last[1] = frame;
      else ranges.push([frame, frame]);
    }
    return ranges;
  }

  /** @param {number} frame @param {Entry|undefined} entry */
  set(frame, entry) {
    if (entry) this.entries.set(frame, entry);
    else this.entries.delete(frame);
  }
}
