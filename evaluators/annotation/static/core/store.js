// @ts-check
/** State shared by all parts of the page, and topics that notify them of changes. */

/** @typedef {import("./types.js").Clip} Clip */
/** @typedef {import("./types.js").Project} Project */
/** @typedef {import("./types.js").Job} Job */
/** @typedef {import("./types.js").Quality} Quality */
/** @typedef {import("./types.js").ObjectInfo} ObjectInfo */

/** @typedef {"project"|"clip"|"info"|"frame"|"objects"|"view"|"tool"|"jobs"|"quality"|"saving"|"marks"|"playing"|"connection"} Topic */

/** @typedef {"overlay"|"outline"|"mask"|"cutout"|"original"} Mode */

/** @type {Mode[]} */
export const MODES = ["overlay", "outline", "mask", "cutout", "original"];

/** States of jobs that haven't ended. */
export const ACTIVE = ["running", "waiting"];

export class Store {
  constructor() {
    /** @type {Project|null} */
    this.project = null;
    /** @type {Clip|null} */
    this.clip = null;
    /** A clip that is being read for the first time, or couldn't be read. @type {Clip|null} */
    this.opening = null;
    /** The shown frame, which all edits go to. */
    this.frame = 0;
    /** Current object's id. */
    this.object = 1;
    /** The only visible object, if any. @type {number|null} */
    this.solo = null;
    /** @type {Mode} */
    this.mode = "overlay";
    this.opacity = 0.5;
    this.tool = "brush";
    /** Diameter of the brush in image pixels. */
    this.brush = 24;
    /** The eraser removes all objects, not only the current one. */
    this.eraseAll = false;
    /** @type {number|null} */
    this.markIn = null;
    /** @type {number|null} */
    this.markOut = null;
    /** @type {Map<string, Job>} */
    this.jobs = new Map();
    /** @type {Quality|null} */
    this.quality = null;
    this.playing = false;
    /** @type {"saved"|"saving"|"unsaved"} */
    this.saving = "saved";
    /** @type {string|null} */
    this.trouble = null;
    /** @type {Map<Topic, ((detail?: any) => void)[]>} */
    this.listeners = new Map();
  }

  /** @param {Topic|Topic[]} topics @param {(detail?: any) => void} listener */
  on(topics, listener) {
    for (const topic of Array.isArray(topics) ? topics : [topics]) {
      this.listeners.set(topic, [...(this.listeners.get(topic) ?? []), listener]);
    }
  }

  /** @param {Topic} topic @param {any} [detail] */
  emit(topic, detail) {
    for (const listener of this.listeners.get(topic) ?? []) listener(detail);
  }

  /** Objects of the clip; a first one that exists only here until something is painted with it. @returns {ObjectInfo[]} */
  get objects() {
    const known = this.clip?.objects ?? [];
    return known.length ? known : [{ id: 1, name: "", color: defaultColor(1), visible: true, locked: false, given: 0 }];
  }

  /** @param {number} id */
  objectOf(id) {
    return this.objects.find((o) => o.id === id);
  }

  /** @param {number} id */
  nameOf(id) {
    return this.objectOf(id)?.name || `object ${id}`;
  }

  /** @param {number} id */
  isVisible(id) {
    return this.solo !== null ? id === this.solo : this.objectOf(id)?.visible !== false;
  }

  /** Return true if edits may replace an object's pixels: it is neither locked nor hidden. @param {number} id */
  isEditable(id) {
    return id === 0 || (this.isVisible(id) && !this.objectOf(id)?.locked);
  }

  /** The running job of the shown clip, or else the waiting one. @returns {Job|undefined} */
  get running() {
    const jobs = [...this.jobs.values()].filter((job) => ACTIVE.includes(job.state) && job.clip === this.clip?.id);
    return jobs.find((job) => job.state === "running") ?? jobs[0];
  }

  /** @param {number} frame @returns {""|"damaged"|"given"|"propagated"|"no mask"} */
  stateOf(frame) {
    const { clip } = this;
    if (!clip) return "";
    if (clip.damaged.includes(frame)) return "damaged";
    if (clip.given.includes(frame)) return "given";
    return clip.masked.some(([a, b]) => a <= frame && frame <= b) ? "propagated" : "no mask";
  }

  /** First and last frame between the marks. @returns {[number, number]} */
  get range() {
    const last = Math.max(0, (this.clip?.frames ?? 1) - 1);
    return [this.markIn ?? 0, this.markOut ?? last];
  }

  /** @param {number|null} first @param {number|null} last */
  mark(first, last) {
    this.markIn = first;
    this.markOut = last;
    this.emit("marks");
  }

  /** The next frame with a given mask after (1) or before (-1) a frame, if any. @param {number} frame @param {1|-1} direction */
  givenFrom(frame, direction) {
    const given = this.clip?.given ?? [];
    return direction > 0 ? given.find((f) => f > frame) : given.filter((f) => f < frame).pop();
  }
}

const COLORS = ["#409fff", "#fff000", "#eb32a5", "#40ffe1", "#f58c00", "#cd5a5a", "#00d7ff", "#5fe16e", "#ff82a0", "#eb3c00", "#c625f1", "#06d46d"];

/** Color of an object that the server doesn't know yet. @param {number} id */
export function defaultColor(id) {
  return COLORS[(id - 1) % COLORS.length];
}

/** Colors offered for objects. */
export const palette = COLORS;
