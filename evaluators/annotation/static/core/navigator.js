// @ts-check
/** Navigation between frames: the latest request wins, and an edit's frame stays until the edit ends. */

import { passes } from "./api.js";

/** @typedef {import("./editor.js").Editor} Editor */
/** @typedef {import("./frames.js").Frames} Frames */
/** @typedef {import("./frames.js").Loaded} Loaded */
/** @typedef {import("./store.js").Store} Store */

const AHEAD = 3;
const RETRY_MS = 500;

export class Navigator {
  /** @param {Store} store @param {Editor} editor */
  constructor(store, editor) {
    this.store = store;
    this.editor = editor;
    /** @type {Frames|null} */
    this.frames = null;
    /** The frames that the shown one belongs to. @type {Frames|null} */
    this.shown = null;
    this.wanted = 0;
    /** The frame being loaded, or loaded last; `wanted` may have changed since. */
    this.loading = 0;
    this.busy = false;
    /** The loaded frame must be reloaded. */
    this.stale = false;
    /** Called with a frame to draw. @type {(loaded: Loaded) => void} */
    this.onShow = () => {};
    /** @type {(text: string) => void} */
    this.onError = () => {};
  }

  get last() {
    return Math.max(0, (this.frames?.clip.frames ?? 1) - 1);
  }

  /** Show a frame, or the nearest one in the clip. @param {number} frame @returns {Promise<void>} */
  go(frame) {
    this.wanted = Math.min(Math.max(Math.round(frame), 0), this.last);
    return this.run();
  }

  /** @param {number} by */
  step(by) {
    return this.go(this.wanted + by);
  }

  /** Reload the shown frame once its current edit ends. */
  reload() {
    this.stale = true;
    return this.run();
  }

  async run() {
    if (this.busy) return this.running;
    this.busy = true;
    this.running = this.loop().finally(() => {
      this.busy = false;
      if (this.stale && this.frames) this.run(); // requested between the loop's end and here
    });
    return this.running;
  }

  /** @type {Promise<void>} */
  running = Promise.resolve();

  async loop() {
    while (this.frames && (this.wanted !== this.store.frame || this.stale)) {
      const { frames, wanted: frame } = this;
      this.loading = frame;
      this.stale = false;
      try {
        const again = frame === this.store.frame && frames === this.shown;
        const { edits } = this.editor;
        const pending = this.editor.pending(frame);
        const loaded = frames.peek(frame) ?? (await frames.load(frame));
        await this.editor.ended();
        if (frames !== this.frames) this.stale = true; // another clip was opened in the meantime
        if (this.stale) continue;
        if (again && this.editor.mask && (pending || edits !== this.editor.edits)) {
          frames.masks.set(frame, this.editor.mask); // the loaded mask lacks an edit; the frame is compared once that is saved
          continue;
        }
        this.show(frame, loaded);
      } catch (error) {
        if (passes(error)) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        else this.onError(error instanceof Error ? error.message : String(error));
        if (this.wanted === frame && !passes(error)) {
          this.wanted = this.store.frame;
          return;
        }
        this.stale = true;
      }
    }
  }

  /** @param {number} frame @param {Loaded} loaded */
  show(frame, loaded) {
    const direction = frame >= this.store.frame ? 1 : -1;
    this.editor.show(frame, loaded.mask);
    this.store.frame = frame;
    this.shown = this.frames;
    this.onShow(loaded);
    this.store.emit("frame");
    this.frames?.prefetch(Array.from({ length: AHEAD }, (_, i) => frame + direction * (i + 1)).concat(frame - direction));
  }
}
