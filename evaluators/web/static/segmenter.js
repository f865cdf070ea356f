// @ts-check
/** Frame-by-frame segmentation of a video with exported graphs: RGB frames and object ids in, object ids out. */

import { Engine } from "./segmenter/aot.js";
import { openGraphs } from "./segmenter/graphs.js";
import { maskIds, normalized } from "./segmenter/inputs.js";

/** @typedef {import("./segmenter/graphs.js").Options} Options */
/** @typedef {import("./segmenter/graphs.js").Graphs} Graphs */
/** @typedef {import("./segmenter/inputs.js").Picture} Picture */
/** @typedef {import("./segmenter/inputs.js").Ids} Ids */

/**
 * The counterpart of Python's `voskit.runtime.OnnxSegmenter`, for AOT, DeAOT and AOST.
 *
 *     const segmenter = await OnnxSegmenter.open();
 *     let ids = await segmenter.step(firstFrame, firstMask);
 *     for (const frame of frames) ids = await segmenter.step(frame);
 *
 * A frame is an `ImageData`, or another object with `data` (RGB or RGBA bytes), `width` and `height`. Masks and results
 * are ids row by row, 0 for the background.
 */
export class OnnxSegmenter {
  /** @param {Graphs} graphs */
  constructor(graphs) {
    this.graphs = graphs;
    this.manifest = graphs.manifest;
    this.engine = new Engine(graphs);
    /** Size of the video's frames. @type {[number, number]|null} */
    this.size = null;
    this.white = false;
  }

  /**
   * Load the graphs of an exported folder.
   * @param {string} [folder] URL of the folder; default: that of this module
   * @param {Options} [options]
   */
  static async open(folder = new URL(".", import.meta.url).href, options = {}) {
    return new OnnxSegmenter(await openGraphs(folder, options));
  }

  /** The execution provider, and why it is used. */
  get backend() {
    return this.graphs.backend;
  }

  /** Object ids in the order of addition. */
  get objectIds() {
    return this.engine.objects.ids;
  }

  /** Number of frames in the long-term memory. */
  get memoryFrames() {
    return this.engine.memoryFrames;
  }

  /** Forget the current video; the next frame starts a new one. */
  reset() {
    this.engine.reset();
    this.size = null;
    this.white = false;
  }

  /** Forget objects; from the next frame on, their pixels go to others. @param {number[]} ids */
  deleteObjects(ids) {
    this.engine.deleteObjects(ids);
  }

  /**
   * Segment the next frame.
   * @param {Picture} frame of the same size throughout a video; it is resized to the exported size
   * @param {Ids|null} [mask] ids from 1 to 65535. Non-zero pixels override the prediction, and new ids are objects from
   *   this frame on. In a `Uint8Array`, a mask of 0 and 255 is one object, id 1
   * @param {{complete?: boolean}} [options] complete: the mask shows all objects, so its 0 is background
   * @returns {Promise<Uint8Array|Uint16Array>} ids; 16 bits if one is above 255
   */
  async step(frame, mask = null, { complete = false } = {}) {
    const { width, height } = frame;
    const given = this.check(frame, mask);
    this.size = [height, width];
    const { objects } = this.engine;
    const useful = given !== null && (given.some((id) => id > 0) || (complete && objects.ids.length > 0));
    if (!useful && !objects.ids.length) return new Uint8Array(width * height);
    const image = normalized(frame, this.manifest);
    const slots = await this.engine.step(image, [height, width], useful ? given : null, complete);
    return objects.toIds(slots);
  }

  /** Check a frame and return the ids of its mask. @param {Picture} frame @param {Ids|null} mask @returns {Int32Array|null} */
  check({ data, width, height }, mask) {
    if (!(width > 0 && height > 0) || (data.length !== 3 * width * height && data.length !== 4 * width * height)) {
      throw new RangeError(`a frame of ${width}x${height} pixels needs RGB or RGBA bytes, got ${data.length}`);
    }
    if (this.size && (this.size[0] !== height || this.size[1] !== width)) {
      const [h, w] = this.size;
      throw new RangeError(`the frame has ${width}x${height} pixels, earlier frames ${w}x${h}: call reset() before another video`);
    }
    if (!mask) return null;
    const { ids, white } = maskIds(mask, width * height, this.objectIds, this.white);
    const count = this.engine.newSlots(ids);
    if (count > this.manifest.objects) {
      throw new RangeError(`${count} objects, but this export holds ${this.manifest.objects}: export again with --objects ${count}`);
    }
    this.white ||= white;
    return ids;
  }
}
