// @ts-check
/** Long-term memory: every `gap`-th frame, the first and the latest ones, in arrays written in place. */

/** @typedef {import("./graphs.js").Tensors} Tensors */

/**
 * Frames of a video for one group of identities.
 *
 * A new frame replaces the oldest predicted one once `capacity` frames are stored. If all of them are references, it
 * replaces the oldest reference except the first. With a capacity of 1, only references are kept.
 */
export class FrameMemory {
  /** @param {number} capacity largest number of frames @param {number} gap frames between two @param {number} least frames that a graph reads at least */
  constructor(capacity, gap, least) {
    this.capacity = capacity;
    this.gap = gap;
    this.least = least;
    /** @type {{number: number, reference: boolean}[]} */
    this.frames = [];
    /** @type {Record<string, Float32Array>} */
    this.storage = {};
    /** Positions and channels of each column. @type {Record<string, [number, number]>} */
    this.shapes = {};
  }

  /** Return true if a predicted frame should be stored. @param {number} frame */
  due(frame) {
    return frame - Math.max(...this.frames.map(({ number }) => number)) >= this.gap;
  }

  /** Store a frame if there is a place for it. @param {Tensors} columns [1, L, C] @param {number} frame @param {boolean} reference */
  write(columns, frame, reference) {
    const slot = this.place(reference);
    if (slot === null) return;
    this.frames[slot] = { number: frame, reference };
    for (const [name, { data, dims }] of Object.entries(columns)) {
      this.shapes[name] = [dims[1], dims[2]];
      this.storage[name] ??= new Float32Array(this.capacity * data.length);
      this.storage[name].set(/** @type {Float32Array} */ (data), slot * data.length);
    }
  }

  /** Return the columns [1, M, C], and `valid` [1, M]: 1 for positions that hold a frame. @returns {Tensors} */
  read() {
    const count = Math.max(this.frames.length, this.least);
    /** @type {Tensors} */
    const out = {};
    for (const [name, [length, channels]] of Object.entries(this.shapes)) {
      const positions = count * length;
      out[name] = { data: this.storage[name].subarray(0, positions * channels), dims: [1, positions, channels] };
      out.valid ??= { data: new Uint8Array(positions).fill(1, 0, this.frames.length * length), dims: [1, positions] };
    }
    return out;
  }

  /** @param {boolean} reference @returns {number|null} */
  place(reference) {
    const { frames, capacity } = this;
    if (frames.length < capacity) return frames.length;
    const oldest = [...frames.keys()].sort((a, b) => frames[a].number - frames[b].number);
    const predicted = oldest.find((slot) => !frames[slot].reference);
    if (predicted !== undefined) return predicted;
    if (capacity > 1) return oldest[1];
    return reference ? 0 : null;
  }
}
