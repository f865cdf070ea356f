// @ts-check
/** Navigation between frames: the latest request wins, and an edit's frame stays until the edit ends. */

/** @typedef {import("./editor.js").Editor} Editor */
/** @typedef {import("./frames.js").Frames} Frames */
/** @typedef {import("./frames.js").Loaded} Loaded */
/** @typedef {import("./store.js").Store} Store */

export class Navigator {
  /** @param {Store} store @param {Editor} editor */
  constructor(store, editor) {
    this.store = store;
    this.editor = editor;
    /** @type {Frames|null} */
    this.frames = null;
    this.wanted = 0;
    this.stale = false;
    /** @type {Promise<void>|null} */
    this.running = null;
    /** Called with a frame to draw. @type {(loaded: Loaded) => void} */
    this.onShow = () => {};
    /** @type {(text: string) => void} */
    this.onError = () => {};
  }

  get last() {
    return Math.max(0, (this.frames?.source.frames ?? 1) - 1);
  }

  /** Show a frame, or the nearest one in the clip. @param {number} frame @returns {Promise<void>} */
  go(frame) {
    this.wanted = Math.min(Math.max(Math.round(frame), 0), this.last);
    this.running ??= this.loop().finally(() => (this.running = null));
    return this.running;
  }

  /** @param {number} by */
  step(by) {
    return this.go(this.wanted + by);
  }

  /** Reload the shown frame once its current edit ends. */
  reload() {
    this.stale = true;
    return this.go(this.wanted);
  }

  async loop() {
    while (this.frames && (this.stale || this.wanted !== this.store.frame)) {
      const { frames, wanted } = this;
      this.stale = false;
      try {
        const picture = await frames.picture(wanted);
        await this.editor.ended();
        if (frames !== this.frames || this.stale) continue;
        this.editor.flush(); // before reading the mask, which may be the edited one
        const loaded = { picture, mask: frames.mask(wanted) };
        this.editor.show(wanted, loaded.mask);
        this.store.frame = wanted;
        this.onShow(loaded);
        this.store.emit("frame");
      } catch (error) {
        this.onError(error instanceof Error ? error.message : String(error));
        if (this.wanted === wanted) {
          this.wanted = this.store.frame;
          return;
        }
      }
    }
  }
}
