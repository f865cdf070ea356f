// @ts-check
/** Pictures and masks of a clip, kept in memory up to a budget. */

import * as api from "./api.js";

/** @typedef {import("./types.js").Clip} Clip */
/** A frame's mask: the ids (zeros if it has none) and the revision's tag. @typedef {{ids: Uint16Array, tag: string, given: boolean}} Mask */
/** @typedef {{picture: ImageBitmap|null, mask: Mask}} Loaded */

const BUDGET = 384 * 2 ** 20;

/** The revision in an ETag or an event. @param {string|number|undefined} tag */
export function revisionOf(tag) {
  return Number(String(tag ?? "").replace(/^W\/|"/g, ""));
}

/** @template T */
class Cache {
  /** @param {number} bytesEach @param {(value: T) => void} dispose */
  constructor(bytesEach, dispose) {
    this.limit = Math.max(6, Math.floor(BUDGET / bytesEach));
    /** @type {Map<number, T>} */
    this.values = new Map();
    /** @type {Map<number, Promise<T>>} */
    this.coming = new Map();
    this.dispose = dispose;
    /** Frames that must stay. @type {(frame: number) => boolean} */
    this.pinned = () => false;
  }

  /** @param {number} frame @param {() => Promise<T>} load @returns {Promise<T>} */
  async get(frame, load) {
    const value = this.values.get(frame);
    if (value !== undefined) {
      this.set(frame, value);
      return value;
    }
    const running = this.coming.get(frame);
    if (running) return running;
    const promise = load().finally(() => this.coming.get(frame) === promise && this.coming.delete(frame));
    this.coming.set(frame, promise);
    const loaded = await promise;
    if (this.values.has(frame)) return /** @type {T} */ (this.values.get(frame));
    // dropped in the meantime: this response is outdated, so use it once and don't keep it
    if (!this.dropped.delete(promise)) this.set(frame, loaded);
    return loaded;
  }

  dropped = /** @type {WeakSet<Promise<T>>} */ (new WeakSet());

  /** @param {number} frame @param {T} value */
  set(frame, value) {
    this.values.delete(frame);
    this.values.set(frame, value);
    for (const [other, old] of this.values) {
      if (this.values.size <= this.limit) break;
      if (other === frame || this.pinned(other)) continue;
      this.values.delete(other);
      this.dispose(old);
    }
  }

  /** @param {number} frame */
  drop(frame) {
    const running = this.coming.get(frame);
    if (running) this.dropped.add(running);
    this.coming.delete(frame);
    this.values.delete(frame);
  }
}

export class Frames {
  /** @param {Clip} clip */
  constructor(clip) {
    this.clip = clip;
    const pixels = clip.width * clip.height;
    /** @type {Cache<ImageBitmap|null>} */
    this.pictures = new Cache(4 * pixels, (bitmap) => bitmap?.close());
    /** @type {Cache<Mask>} */
    this.masks = new Cache(2 * pixels, () => {});
  }

  /** Keep frames for which `pinned` is true. @param {(frame: number) => boolean} pinned */
  pin(pinned) {
    this.pictures.pinned = pinned;
    this.masks.pinned = pinned;
  }

  /** @param {number} frame @returns {Promise<ImageBitmap|null>} null for a damaged frame */
  picture(frame) {
    return this.pictures.get(frame, async () => {
      if (this.clip.damaged.includes(frame)) return null;
      try {
        return await api.readPicture(this.clip.id, frame);
      } catch (error) {
        if (error instanceof api.ApiError && error.status === 422) return null;
        throw error;
      }
    });
  }

  /** @param {number} frame @returns {Promise<Mask>} */
  mask(frame) {
    return this.masks.get(frame, async () => {
      const { ids, tag } = await api.readMask(this.clip.id, frame);
      const pixels = this.clip.width * this.clip.height;
      return { ids: ids ?? new Uint16Array(pixels), tag, given: ids !== null };
    });
  }

  /** @param {number} frame @returns {Promise<Loaded>} */
  async load(frame) {
    const [picture, mask] = await Promise.all([this.picture(frame), this.mask(frame)]);
    return { picture, mask };
  }

  /** Both parts of a frame if they are cached. @param {number} frame @returns {Loaded|null} */
  peek(frame) {
    const picture = this.pictures.values.get(frame);
    const mask = this.masks.values.get(frame);
    return picture === undefined || mask === undefined ? null : { picture, mask };
  }

  /** Prefetch frames that will probably be needed next. @param {number[]} numbers */
  prefetch(numbers) {
    for (const frame of numbers) {
      if (frame < 0 || frame >= this.clip.frames || this.peek(frame)) continue;
      this.load(frame).catch(() => {}); // requested again, and reported, when it is shown
    }
  }
}
