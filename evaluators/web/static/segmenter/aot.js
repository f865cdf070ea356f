// @ts-check
/** Propagation of identities with exported graphs of AOT, DeAOT and AOST. */

import { FrameMemory } from "./memory.js";
import { ObjectSlots, resizeNearest, separateNeighbors } from "./objects.js";
import { likeliest, maskedGroups, mergedGroups, usedChannels } from "./prediction.js";
import { removeStrays } from "./strays.js";

/** @typedef {import("./graphs.js").Graphs} Graphs */
/** @typedef {import("./graphs.js").Tensor} Tensor */
/** @typedef {import("./graphs.js").Tensors} Tensors */
/** @typedef {import("./objects.js").Size} Size */

/** The state of one video. Each group of identities has its own memory and makes its own calls. */
export class Engine {
  /** @param {Graphs} graphs */
  constructor(graphs) {
    this.graphs = graphs;
    this.manifest = graphs.manifest;
    this.objects = new ObjectSlots(this.manifest.identities);
    /** @type {{longTerm: FrameMemory, shortTerm: Tensors[]}[]} */
    this.groups = [];
    this.frame = 0;
    /** Slots of the previous frame. @type {{slots: Int32Array, size: Size}|null} */
    this.shown = null;
  }

  /** Forget everything: the next frame is the first of a new video. */
  reset() {
    this.objects = new ObjectSlots(this.manifest.identities);
    this.groups = [];
    this.frame = 0;
    this.shown = null;
  }

  get memoryFrames() {
    return this.groups[0]?.longTerm.frames.length ?? 0;
  }

  /**
   * Segment the next frame and remember it.
   * @param {Tensor} image [1, 3, h, w], normalized @param {Size} size of the output
   * @param {Int32Array|null} mask ids that the user gives @param {boolean} complete the mask shows all objects
   * @returns {Promise<Int32Array>} slots
   */
  async step(image, size, mask, complete) {
    const features = await this.graphs.run("encode", { image });
    /** @type {Int32Array|null} */
    let slots = null;
    /** @type {Tensors[]} */
    let states = [];
    if (this.groups.length && !(mask && complete)) ({ slots, states } = await this.propagate(features, size));
    if (mask) {
      this.addObjects(mask, size);
      const own = this.objects.toSlots(mask);
      const predicted = slots;
      slots = predicted ? own.map((slot, i) => slot || predicted[i]) : own;
      await this.takeReference(features, slots, size);
    } else {
      slots = /** @type {Int32Array} */ (slots);
      await this.remember(states, slots, size);
    }
    this.frame++;
    this.shown = { slots, size };
    return slots;
  }

  /** Forget objects, and groups that have none left. @param {number[]} ids */
  deleteObjects(ids) {
    this.shown = null; // slots of other groups may change
    const stay = this.objects.delete(ids);
    this.groups = stay.map((g) => this.groups[g]);
    if (!stay.length) this.reset();
  }

  /** Number of slots once the objects of a mask are added. @param {Int32Array} mask */
  newSlots(mask) {
    return this.objects.groups * this.objects.groupSize - this.objects.room + this.newIds(mask).length;
  }

  /** Ids of a mask that no object has yet, ascending. @param {Int32Array} mask */
  newIds(mask) {
    return [...new Set(mask)].filter((id) => id && !this.objects.table.has(id)).sort((a, b) => a - b);
  }

  /** @param {Int32Array} mask @param {Size} size */
  addObjects(mask, size) {
    const ids = this.newIds(mask);
    const { groupSize, room } = this.objects;
    this.objects.add(ids.length && this.manifest.neighbors_apart ? separateNeighbors(mask, size, ids, groupSize, room) : ids);
  }

  /** @param {Tensors} features @param {Size} size */
  async propagate(features, size) {
    /** @type {Tensor[]} */
    const logits = [];
    /** @type {Tensors[]} */
    const states = [];
    for (const group of this.groups) {
      /** @type {Tensors} */
      const inputs = { ...features };
      for (const [name, x] of Object.entries(group.longTerm.read())) inputs[name === "valid" ? name : `long_${name}`] = x;
      for (const [name, x] of Object.entries(group.shortTerm[0])) inputs[`short_${name}`] = x;
      const { logits: own, ...state } = await this.graphs.run("propagate", inputs);
      logits.push(own);
      states.push(state);
    }
    return { slots: await this.argmax(logits, size), states };
  }

  /** @param {Tensor[]} logits of each group @param {Size} size */
  async argmax(logits, size) {
    const { slots } = this.objects;
    const { background, identities, stray_distance: distance } = this.manifest;
    const single = logits.length === 1;
    const coarse = single ? usedChannels(logits[0], slots) : maskedGroups(logits, slots, identities);
    const rows = single ? slots.map((_, k) => k + 1) : slots;
    const decided = (/** @type {Tensor} */ { data, dims }) => {
      const scores = single ? /** @type {Float32Array} */ (data) : mergedGroups({ data, dims }, background);
      return likeliest(scores, dims[2] * dims[3], slots, [0, ...rows], background);
    };
    if (typeof distance === "number" && this.shown) {
      /** @type {Size} */
      const place = [coarse.dims[2], coarse.dims[3]];
      const before = resizeNearest(this.shown.slots, this.shown.size, place);
      const places = single ? rows : slots.map((s) => Math.floor((s - 1) / identities) * (identities + 1) + 1 + ((s - 1) % identities));
      removeStrays(coarse, decided(coarse), before, slots, places, distance);
    }
    return decided(await this.graphs.resize(coarse, size));
  }

  /** @param {Tensors[]} states @param {Int32Array} slots @param {Size} size */
  async remember(states, slots, size) {
    const labels = resizeNearest(slots, size, this.manifest.input_size);
    for (const [i, state] of states.entries()) this.keep(i, await this.graphs.run("remember", { labels: this.labels(labels, i), ...state }), false);
  }

  /** @param {Tensors} features @param {Int32Array} slots @param {Size} size */
  async takeReference(features, slots, size) {
    const { memory_frames: capacity, long_term_gap: gap, min_memory_frames: least, input_size: input } = this.manifest;
    const labels = resizeNearest(slots, size, input);
    for (let i = 0; i < this.objects.groups; i++) {
      if (i === this.groups.length) this.groups.push({ longTerm: new FrameMemory(capacity, gap, least), shortTerm: [] });
      this.groups[i].shortTerm = [];
      this.keep(i, await this.graphs.run("refer", { labels: this.labels(labels, i), ...features }), true);
    }
  }

  /** @param {Int32Array} slots at the input size @param {number} group @returns {Tensor} */
  labels(slots, group) {
    return { data: this.objects.identities(slots, group), dims: [1, ...this.manifest.input_size] };
  }

  /** Make a frame the short-term memory of a group, and store it in the long-term memory if it is due. @param {number} i @param {Tensors} memory @param {boolean} reference */
  keep(i, memory, reference) {
    const { longTerm, shortTerm } = this.groups[i];
    if (reference || longTerm.due(this.frame)) longTerm.write(memory, this.frame, reference);
    shortTerm.push(memory);
    if (shortTerm.length > this.manifest.short_term_skip) shortTerm.shift();
  }
}
