// @ts-check
/** The timeline: given and propagated frames, gaps, confidence of each object, cuts, marks. */

import { el, exactClock } from "./dom.js";

/** @typedef {import("../core/session.js").Session} Session */

const RULER = 18;
const LANE = 14;
const PAD = 14;
const STEPS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 2500, 5000, 10000, 20000, 50000];

export class Timeline {
  /** @param {HTMLElement} root @param {Session} session */
  constructor(root, session) {
    this.root = root;
    this.session = session;
    this.store = session.store;
    this.canvas = el("canvas", { class: "timeline-canvas", tabIndex: -1 });
    this.canvas.setAttribute("aria-label", "Timeline");
    this.tip = el("div", { class: "tip", hidden: true });
    root.append(this.canvas, this.tip);
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    this.requested = false;
    this.dragging = false;
    /** First shown frame and number of shown frames. */
    this.from = 0;
    this.span = 1;
    new ResizeObserver(() => this.request()).observe(root);
    this.store.on(["frame", "info", "objects", "quality", "marks", "view", "jobs"], () => this.request());
    this.store.on("clip", () => this.whole());
    this.listen();
  }

  get frames() {
    return this.store.clip?.frames ?? 1;
  }

  whole() {
    this.from = 0;
    this.span = this.frames;
    this.request();
  }

  request() {
    if (this.requested) return;
    this.requested = true;
    requestAnimationFrame(() => this.draw());
  }

  // -- pointer --------------------------------------------------------------------------------------------------------

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.dragging = true;
      try {
        canvas.setPointerCapture(event.pointerId);
      } catch {
        this.dragging = false; // the pointer is gone already
      }
      this.seek(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      this.showTip(event);
      if (this.dragging) this.seek(event);
    });
    for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) canvas.addEventListener(name, () => (this.dragging = false));
    canvas.addEventListener("pointerleave", () => (this.tip.hidden = true));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("dblclick", () => this.whole());
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const width = this.width;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.from += ((event.deltaX || event.deltaY) / width) * this.span;
    } else {
      const at = this.frameAt(event);
      const part = (at - this.from) / this.span;
      this.span = Math.min(this.frames, Math.max(Math.min(12, this.frames), this.span * Math.exp(event.deltaY / 300)));
      this.from = at - part * this.span;
    }
    this.keepInside();
    this.request();
  }

  keepInside() {
    this.from = Math.min(Math.max(0, this.from), this.frames - this.span);
  }

  /** Scroll the shown frame into view. */
  follow() {
    const { frame } = this.store;
    if (frame < this.from) this.from = frame - this.span * 0.1;
    else if (frame > this.from + this.span - 1) this.from = frame - this.span * 0.9;
    this.keepInside();
  }

  get width() {
    return Math.max(1, this.canvas.clientWidth - 2 * PAD);
  }

  /** @param {{clientX: number}} event @returns {number} a fractional frame */
  frameAt(event) {
    const box = this.canvas.getBoundingClientRect();
    return this.from + ((event.clientX - box.left - PAD) / this.width) * this.span;
  }

  /** @param {PointerEvent} event */
  seek(event) {
    if (!this.store.clip) return;
    this.store.emit("playing", "stop");
    this.session.visit(Math.min(this.frames - 1, Math.max(0, Math.floor(this.frameAt(event)))));
  }

  /** @param {PointerEvent} event */
  showTip(event) {
    const { clip, quality } = this.store;
    const frame = Math.floor(this.frameAt(event));
    this.tip.hidden = !clip || frame < 0 || frame >= this.frames || event.pointerType === "touch";
    if (this.tip.hidden || !clip) return;
    const lines = [`${frame} · ${exactClock(clip.times[frame] ?? 0)} · ${this.store.stateOf(frame)}`];
    for (const { id } of this.store.objects) {
      const value = quality?.objects[String(id)]?.[frame];
      if (typeof value === "number") lines.push(`${this.store.nameOf(id)} ${value.toFixed(2)}`);
    }
    this.tip.replaceChildren(...lines.slice(0, 8).map((line) => el("div", {}, line)));
    const box = this.root.getBoundingClientRect();
    const x = Math.min(Math.max(70, event.clientX - box.left), box.width - 70);
    this.tip.style.left = `${x}px`;
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  /** @param {number} frame its left edge, in CSS pixels */
  x(frame) {
    return PAD + ((frame - this.from) / this.span) * this.width;
  }

  draw() {
    this.requested = false;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: w, clientHeight: h } = this.canvas;
    this.canvas.width = Math.max(1, Math.round(w * ratio));
    this.canvas.height = Math.max(1, Math.round(h * ratio));
    const g = this.context;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(document.documentElement);
    const color = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
    g.font = `11px ${style.getPropertyValue("--font").trim() || "sans-serif"}`;
    if (!this.store.clip) return;
    this.span = Math.min(this.span, this.frames);
    this.follow();
    this.drawRuler(g, w, color);
    this.drawMasks(g, color);
    this.drawConfidence(g, h, color);
    this.drawCuts(g, h, color);
    this.drawMarks(g, h, color);
    this.drawHead(g, h, color);
  }

  /** @param {CanvasRenderingContext2D} g @param {number} w @param {(name: string) => string} color */
  drawRuler(g, w, color) {
    const each = this.width / this.span;
    const step = STEPS.find((s) => s * each >= 56) ?? 100000;
    const head = this.x(this.store.frame) + each / 2;
    g.fillStyle = color("faint");
    g.textBaseline = "middle";
    for (let frame = Math.ceil(this.from / step) * step; frame < this.from + this.span; frame += step) {
      const x = this.x(frame) + each / 2;
      g.fillRect(Math.round(x), RULER - 4, 1, 4);
      const text = String(frame);
      if (Math.abs(x + 8 - head) < 24) continue; // the playhead's own number is there
      g.textAlign = x + 20 > w ? "right" : "left";
      g.fillText(text, x + (x + 20 > w ? -3 : 4), RULER / 2);
    }
  }

  /** @param {CanvasRenderingContext2D} g @param {(name: string) => string} color */
  drawMasks(g, color) {
    const clip = /** @type {import("../core/types.js").Clip} */ (this.store.clip);
    const end = this.from + this.span;
    g.fillStyle = color("gap");
    g.fillRect(this.x(Math.max(0, this.from)), RULER, this.width, LANE);
    g.fillStyle = color("propagated");
    for (const [a, b] of clip.masked) {
      if (b < this.from || a > end) continue;
      const left = Math.max(PAD, this.x(a));
      g.fillRect(left, RULER, Math.max(1, Math.min(this.x(b + 1), PAD + this.width) - left), LANE);
    }
    g.fillStyle = color("danger");
    for (const frame of clip.damaged) {
      if (frame < this.from || frame > end) continue;
      g.fillRect(this.x(frame), RULER, Math.max(2, this.width / this.span), LANE);
    }
    g.fillStyle = color("given");
    let before = -Infinity;
    for (const frame of clip.given) {
      if (frame < this.from || frame > end) continue;
      const x = this.x(frame + 0.5);
      if (x - before < 1) continue; // thousands of given frames lie on the same pixels
      before = x;
      g.beginPath();
      const r = LANE / 2 - 1;
      const y = RULER + LANE / 2;
      g.moveTo(x, y - r);
      g.lineTo(x + r, y);
      g.lineTo(x, y + r);
      g.lineTo(x - r, y);
      g.fill();
    }
  }

  /** @param {CanvasRenderingContext2D} g @param {number} h @param {(name: string) => string} color */
  drawConfidence(g, h, color) {
    const top = RULER + LANE + 8;
    const height = h - top - 8;
    if (height < 12) return;
    g.strokeStyle = color("line");
    g.lineWidth = 1;
    for (const value of [0, 0.5, 1]) {
      const y = Math.round(top + (1 - value) * height) + 0.5;
      g.beginPath();
      g.moveTo(PAD, y);
      g.lineTo(PAD + this.width, y);
      g.stroke();
    }
    const { quality } = this.store;
    if (!quality) return;
    g.fillStyle = color("faint");
    g.textAlign = "right";
    g.textBaseline = "bottom";
    g.fillText("confidence", PAD + this.width, h - 9);
    g.textBaseline = "middle";
    for (const object of this.store.objects) {
      const values = quality.objects[String(object.id)];
      if (!values || !this.store.isVisible(object.id)) continue;
      g.strokeStyle = object.color;
      g.globalAlpha = object.id === this.store.object ? 1 : 0.45;
      g.lineWidth = object.id === this.store.object ? 2 : 1.25;
      this.drawCurve(g, values, (value) => top + (1 - value) * height);
      g.globalAlpha = 1;
    }
  }

  /** Draw a curve by the smallest value at each pixel. @param {CanvasRenderingContext2D} g @param {(number|null)[]} values @param {(value: number) => number} y */
  drawCurve(g, values, y) {
    const first = Math.max(0, Math.floor(this.from));
    const last = Math.min(values.length - 1, Math.ceil(this.from + this.span));
    const group = Math.max(1, Math.floor(this.span / this.width));
    let drawing = false;
    g.beginPath();
    for (let frame = first; frame <= last; frame += group) {
      let least = Infinity;
      for (let i = frame; i < frame + group && i <= last; i++) {
        const value = values[i];
        if (typeof value === "number" && value < least) least = value;
      }
      if (least === Infinity) {
        drawing = false;
        continue;
      }
      const x = this.x(frame + group / 2);
      if (drawing) g.lineTo(x, y(least));
      else g.moveTo(x - 0.5, y(least));
      if (!drawing) g.lineTo(x + 0.5, y(least));
      drawing = true;
    }
    g.stroke();
  }

  /** @param {CanvasRenderingContext2D} g @param {number} h @param {(name: string) => string} color */
  drawCuts(g, h, color) {
    g.strokeStyle = color("muted");
    g.setLineDash([3, 3]);
    for (const frame of this.store.clip?.cuts ?? []) {
      const x = Math.round(this.x(frame)) + 0.5;
      if (x < PAD || x > PAD + this.width) continue;
      g.beginPath();
      g.moveTo(x, RULER);
      g.lineTo(x, h - 4);
      g.stroke();
    }
    g.setLineDash([]);
  }

  /** @param {CanvasRenderingContext2D} g @param {number} h @param {(name: string) => string} color */
  drawMarks(g, h, color) {
    const { markIn, markOut } = this.store;
    const [left, right] = [this.x(markIn ?? 0), this.x((markOut ?? this.frames - 1) + 1)];
    g.fillStyle = color("shade");
    if (markIn !== null && left > PAD) g.fillRect(PAD, RULER, left - PAD, h - RULER);
    if (markOut !== null && right < PAD + this.width) g.fillRect(right, RULER, PAD + this.width - right, h - RULER);
    g.fillStyle = color("accent");
    for (const [mark, x, side] of /** @type {[number|null, number, number][]} */ ([[markIn, left, 1], [markOut, right, -1]])) {
      if (mark === null || x < PAD - 1 || x > PAD + this.width + 1) continue;
      g.fillRect(x - (side < 0 ? 2 : 0), RULER - 2, 2, h - RULER);
      g.beginPath();
      g.moveTo(x, RULER - 2);
      g.lineTo(x + side * 8, RULER - 2);
      g.lineTo(x, RULER + 6);
      g.fill();
    }
  }

  /** @param {CanvasRenderingContext2D} g @param {number} h @param {(name: string) => string} color */
  drawHead(g, h, color) {
    const each = this.width / this.span;
    const x = this.x(this.store.frame);
    if (each > 3) {
      g.fillStyle = color("head-soft");
      g.fillRect(x, RULER, each, h - RULER);
    }
    const middle = Math.round(x + each / 2);
    g.fillStyle = color("head");
    g.fillRect(middle - 1, RULER - 2, 2, h - RULER);
    const text = String(this.store.frame);
    const half = g.measureText(text).width / 2 + 5;
    const center = Math.min(Math.max(middle, half + 1), this.canvas.clientWidth - half - 1);
    g.beginPath();
    g.roundRect(center - half, 1, 2 * half, RULER - 3, 4);
    g.fill();
    g.fillStyle = color("head-text");
    g.textAlign = "center";
    g.fillText(text, center, RULER / 2 + 0.5);
  }
}
