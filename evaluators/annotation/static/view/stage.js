// @ts-check
/** The main view: picture, mask and tool marks on canvases at screen resolution, with zoom and pan. */

import { Colors } from "./colors.js";
import { onScreen, paint } from "./painter.js";

/** @typedef {import("../core/store.js").Store} Store */
/** @typedef {import("../core/types.js").Rect} Rect */
/** @typedef {import("./painter.js").View} View */

const LARGEST = 64;
const SETTLE_MS = 120;

export class Stage {
  /** @param {HTMLElement} root @param {Store} store */
  constructor(root, store) {
    this.root = root;
    this.store = store;
    this.picture = addCanvas(root, "picture", false);
    this.overlay = addCanvas(root, "overlay", true);
    this.marks = addCanvas(root, "marks", false);
    /** @type {View} */
    this.view = { scale: 1, x: 0, y: 0 };
    this.fitted = true;
    this.ratio = window.devicePixelRatio || 1;
    this.width = 0;
    this.height = 0;
    /** @type {ImageBitmap|null} */
    this.bitmap = null;
    /** @type {Uint16Array|null} */
    this.ids = null;
    this.colors = new Colors();
    /** Parts of the image to redraw. @type {Rect|null} */
    this.dirty = null;
    this.all = false;
    this.requested = false;
    this.settling = 0;
    this.moving = false;
    this.marked = false;
    /** Draws the marks of the current tool; true if there are any. @type {(context: CanvasRenderingContext2D) => boolean} */
    this.drawMarks = () => false;
    /** Called when zoom or position change. @type {() => void} */
    this.onMove = () => {};
    new ResizeObserver(() => this.resize()).observe(root);
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.recolor());
    this.resize();
  }

  // -- content --------------------------------------------------------------------------------------------------------

  /** Show a picture (null: it can't be read) and a mask. @param {ImageBitmap|null} bitmap @param {Uint16Array} ids */
  show(bitmap, ids) {
    const { clip } = this.store;
    const other = this.width !== clip?.width || this.height !== clip?.height;
    this.bitmap = bitmap;
    this.ids = ids;
    this.width = clip?.width ?? 0;
    this.height = clip?.height ?? 0;
    if (other && this.fitted) this.fit();
    this.redraw();
  }

  clear() {
    this.bitmap = this.ids = null;
    this.redraw();
  }

  /** Redraw a part of the image; null: everything. @param {Rect|null} rect */
  changed(rect) {
    if (!rect) return this.redraw();
    if (!this.dirty) this.dirty = { ...rect };
    else {
      this.dirty.x0 = Math.min(this.dirty.x0, rect.x0);
      this.dirty.y0 = Math.min(this.dirty.y0, rect.y0);
      this.dirty.x1 = Math.max(this.dirty.x1, rect.x1);
      this.dirty.y1 = Math.max(this.dirty.y1, rect.y1);
    }
    this.request();
  }

  redraw() {
    this.all = true;
    this.request();
  }

  recolor() {
    this.colors.update(this.store, getComputedStyle(document.documentElement).getPropertyValue("--backdrop").trim() || "#101214");
    this.redraw();
  }

  request() {
    if (this.requested) return;
    this.requested = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.requested = false;
    const { all, dirty } = this;
    this.all = false;
    this.dirty = null;
    if (all) this.drawPicture();
    if (all) this.overlay.clearRect(0, 0, this.overlay.canvas.width, this.overlay.canvas.height);
    const whole = { x0: 0, y0: 0, x1: this.width, y1: this.height };
    if (this.ids && !this.colors.blank && (all || dirty)) this.drawIds(all ? whole : /** @type {Rect} */ (dirty));
    if (this.marked) this.marks.clearRect(0, 0, this.marks.canvas.width, this.marks.canvas.height);
    this.marked = this.drawMarks(this.marks);
  }

  drawPicture() {
    const { canvas } = this.picture;
    this.picture.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.bitmap) return;
    const { scale, x, y } = this.view;
    this.picture.imageSmoothingEnabled = scale < 2;
    this.picture.imageSmoothingQuality = this.moving || scale >= 1 ? "low" : "medium";
    this.picture.drawImage(this.bitmap, x, y, this.width * scale, this.height * scale);
  }

  /** @param {Rect} rect of the image */
  drawIds(rect) {
    const thickness = Math.max(1, Math.round(this.ratio * (this.store.mode === "outline" ? 2 : 1)));
    const r = onScreen(rect, this.view, this.width, this.height, thickness + 1, this.overlay.canvas);
    paint(this.overlay, r, /** @type {Uint16Array} */ (this.ids), this.width, this.height, this.view, this.colors, thickness);
  }

  // -- zoom and position ----------------------------------------------------------------------------------------------

  resize() {
    const box = this.root.getBoundingClientRect();
    const center = this.fitted ? null : this.center;
    this.ratio = window.devicePixelRatio || 1;
    for (const { canvas } of [this.picture, this.overlay, this.marks]) {
      canvas.width = Math.max(1, Math.round(box.width * this.ratio));
      canvas.height = Math.max(1, Math.round(box.height * this.ratio));
    }
    if (center) this.place(this.view.scale / this.ratio, center[0], center[1]);
    else this.fit();
  }

  get fitScale() {
    const { canvas } = this.picture;
    const margin = 12 * this.ratio;
    return Math.max(1e-3, Math.min((canvas.width - margin) / (this.width || 1), (canvas.height - margin) / (this.height || 1)));
  }

  /** Show the whole image. */
  fit() {
    const { canvas } = this.picture;
    const scale = this.fitScale;
    this.fitted = true;
    this.move(scale, (canvas.width - this.width * scale) / 2, (canvas.height - this.height * scale) / 2);
  }

  /** Zoom as CSS pixels per image pixel. */
  get zoom() {
    return this.view.scale / this.ratio;
  }

  /** The image's position in the middle of the screen. @returns {[number, number]} */
  get center() {
    const { canvas } = this.picture;
    return [(canvas.width / 2 - this.view.x) / this.view.scale, (canvas.height / 2 - this.view.y) / this.view.scale];
  }

  /** Show a position of the image in the middle. @param {number} zoom @param {number} x @param {number} y */
  place(zoom, x, y) {
    const { canvas } = this.picture;
    const scale = zoom * this.ratio;
    this.fitted = false;
    this.move(scale, canvas.width / 2 - x * scale, canvas.height / 2 - y * scale);
  }

  /** Zoom by a factor and keep a point of the screen (CSS pixels in the stage). @param {number} factor @param {number} px @param {number} py */
  zoomAt(factor, px, py) {
    const { scale, x, y } = this.view;
    const next = Math.min(Math.max(LARGEST * this.ratio, this.fitScale), Math.max(Math.min(this.fitScale / 2, scale), scale * factor));
    const [cx, cy] = [px * this.ratio, py * this.ratio];
    this.fitted = false;
    this.move(next, cx - ((cx - x) * next) / scale, cy - ((cy - y) * next) / scale);
  }

  /** @param {number} factor */
  zoomBy(factor) {
    this.zoomAt(factor, this.root.clientWidth / 2, this.root.clientHeight / 2);
  }

  /** Shift by CSS pixels. @param {number} dx @param {number} dy */
  pan(dx, dy) {
    this.fitted = false;
    this.move(this.view.scale, this.view.x + dx * this.ratio, this.view.y + dy * this.ratio);
  }

  /** @param {number} scale @param {number} x @param {number} y */
  move(scale, x, y) {
    this.view = { scale, x: Math.round(x), y: Math.round(y) };
    this.moving = true;
    clearTimeout(this.settling);
    this.settling = window.setTimeout(() => {
      this.moving = false;
      if (this.view.scale < 1) this.redraw();
    }, SETTLE_MS);
    this.redraw();
    this.onMove();
  }

  /** Position in the image of a pointer. @param {{clientX: number, clientY: number}} event @returns {[number, number]} */
  at(event) {
    const box = this.root.getBoundingClientRect();
    const { scale, x, y } = this.view;
    return [((event.clientX - box.left) * this.ratio - x) / scale, ((event.clientY - box.top) * this.ratio - y) / scale];
  }

  /** Position on the canvases of a point of the image. @param {[number, number]} point @returns {[number, number]} */
  toScreen([x, y]) {
    return [this.view.x + x * this.view.scale, this.view.y + y * this.view.scale];
  }
}

/** @param {HTMLElement} root @param {string} name @param {boolean} read @returns {CanvasRenderingContext2D} */
function addCanvas(root, name, read) {
  const canvas = document.createElement("canvas");
  canvas.className = `layer ${name}`;
  root.append(canvas);
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: read }));
}
