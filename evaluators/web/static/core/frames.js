// @ts-check
/** Pictures and masks of the open clip. */

import { toIds } from "./masks.js";

/** @typedef {import("../media/source.js").Source} Source */
/** @typedef {import("./saver.js").Saver} Saver */
/** A frame's ids (zeros if it has no mask). @typedef {{ids: Uint16Array, tag: string, given: boolean}} Mask */
/** @typedef {{picture: ImageBitmap|null, mask: Mask}} Loaded */

const BUDGET = 256 * 2 ** 20;

export class Frames {
  /** @param {Source} source @param {Saver} saver */
  constructor(source, saver) {
    this.source = source;
    this.saver = saver;
    this.limit = Math.max(4, Math.floor(BUDGET / (4 * source.width * source.height)));
    /** Promises of pictures, least recently used first. @type {Map<number, Promise<ImageBitmap>>} */
    this.pictures = new Map();
  }

  /** @param {number} frame @returns {Promise<ImageBitmap>} */
  picture(frame) {
    const picture = this.pictures.get(frame) ?? this.source.picture(frame);
    this.pictures.delete(frame);
    this.pictures.set(frame, picture);
    picture.catch(() => this.pictures.delete(frame));
    // an old bitmap isn't closed here, since it may still be shown; it is freed with its last reference
    for (const old of this.pictures.keys()) if (this.pictures.size > this.limit) this.pictures.delete(old);
    return picture;
  }

  /** Pixels of a frame. @param {number} frame @returns {Promise<ImageData>} */
  async pixels(frame) {
    const { width, height } = this.source;
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error("The browser can't allocate a canvas of this size: out of memory. Use a smaller video.");
    context.drawImage(await this.picture(frame), 0, 0);
    return context.getImageData(0, 0, width, height);
  }

  /** @param {number} frame @returns {Mask} */
  mask(frame) {
    const entry = this.saver.masks.entries.get(frame);
    return { ids: toIds(entry?.runs, this.source.width * this.source.height), tag: "", given: entry?.given ?? false };
  }

  /** @param {number} frame @returns {Promise<Loaded>} */
  async load(frame) {
    return { picture: await this.picture(frame), mask: this.mask(frame) };
  }

  /** Prefetch pictures that will probably be needed next. @param {number[]} numbers */
  prefetch(numbers) {
    for (const frame of numbers.slice(0, 3)) {
      if (frame >= 0 && frame < this.source.frames) this.picture(frame).catch(() => {}); // reported when it is shown
    }
  }
}
