// @ts-check
/** The tools, and their input from mouse, pen and touch. */

import { BrushTool } from "./brush.js";
import { FillTool } from "./fill.js";
import { PolygonTool } from "./polygon.js";
import { PromptTool } from "./prompt.js";
import { Tool } from "./tool.js";

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../view/stage.js").Stage} Stage */
/** @typedef {import("./tool.js").Point} Point */

export const SMALLEST = 1;
export const LARGEST = 1000;
const PINCH_MS = 250;

export class Toolbox {
  /** @param {Session} session @param {Stage} stage */
  constructor(session, stage) {
    this.session = session;
    this.stage = stage;
    this.store = session.store;
    this.prompt = new PromptTool(session, stage);
    this.tools = /** @type {Record<string, Tool>} */ ({
      brush: new BrushTool(session, stage, false),
      eraser: new BrushTool(session, stage, true),
      fill: new FillTool(session, stage),
      polygon: new PolygonTool(session, stage),
      prompt: this.prompt,
      hand: new Tool(session, stage),
    });
    /** Pointers that are down. @type {Map<number, PointerEvent>} */
    this.pointers = new Map();
    /** Space is held. */
    this.panning = false;
    /** The image was panned with the space key, so its release doesn't start playback. */
    this.panned = false;
    /** @type {"tool"|"pan"|"pinch"|null} */
    this.gesture = null;
    this.began = 0;
    /** Last position of a mouse, for the ring. @type {PointerEvent|null} */
    this.pointer = null;
    this.ring = document.createElement("div");
    this.ring.className = "ring";
    stage.root.append(this.ring);
    stage.drawMarks = (context) => this.tool.draw(context);
    this.listen();
    let [clip, frame, object] = [this.store.clip, this.store.frame, this.store.object];
    this.store.on(["frame", "clip", "objects"], () => {
      if (clip === this.store.clip && frame === this.store.frame && object === this.store.object) return;
      [clip, frame, object] = [this.store.clip, this.store.frame, this.store.object];
      this.tool.leave();
    });
    this.store.on("tool", () => this.showRing());
  }

  get tool() {
    return this.tools[this.store.tool];
  }

  /** @param {string} name */
  choose(name) {
    if (!(name in this.tools)) return;
    if (name !== this.store.tool) this.tool.leave();
    this.store.tool = name;
    this.store.emit("tool");
    this.stage.request();
  }

  /** @param {number} diameter in image pixels */
  resize(diameter) {
    this.store.brush = Math.min(LARGEST, Math.max(SMALLEST, Math.round(diameter)));
    this.store.emit("tool");
  }

  /** Make the brush larger or smaller by a step that fits its size. @param {1|-1} sign */
  grow(sign) {
    const { brush } = this.store;
    this.resize(brush + sign * Math.max(1, Math.round(brush * 0.15)));
  }

  listen() {
    const { root } = this.stage;
    root.addEventListener("pointerdown", (event) => this.down(event));
    root.addEventListener("pointermove", (event) => this.move(event));
    for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) root.addEventListener(name, (event) => this.up(event));
    root.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.showRing();
    });
    root.addEventListener("contextmenu", (event) => event.preventDefault());
    root.addEventListener("dblclick", () => this.tool.accept());
    root.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.target instanceof Element && event.target.closest("button, input, select, a")) return;
    event.preventDefault();
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    this.pointers.set(event.pointerId, event);
    try {
      this.stage.root.setPointerCapture(event.pointerId);
    } catch {
      return; // the pointer is gone already
    }
    if (this.pointers.size === 2) return this.pinch();
    if (this.pointers.size > 2) return;
    this.began = event.timeStamp;
    if (this.panning || event.button === 1 || this.store.tool === "hand") {
      this.gesture = "pan";
      this.stage.root.classList.add("grabbing");
      return;
    }
    this.gesture = "tool";
    this.session.unfollow();
    this.store.emit("playing", "stop");
    this.tool.down(this.stage.at(event), event, event.button === 2 || event.button === 5);
  }

  /** Zoom with two fingers; cancel the stroke that the first one has just begun. */
  pinch() {
    if (this.gesture === "tool") this.tool.cancel();
    this.gesture = "pinch";
  }

  /** @param {PointerEvent} event */
  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (event.pointerType !== "touch") this.pointer = event;
    this.showRing();
    if (!before) return this.tool.hover(this.stage.at(event));
    if (this.gesture === "pinch") this.zoomByFingers(before, event);
    this.pointers.set(event.pointerId, event);
    if (this.gesture === "pan") {
      this.panned = true;
      this.stage.pan(event.clientX - before.clientX, event.clientY - before.clientY);
    }
    if (this.gesture !== "tool") return;
    const steps = event.getCoalescedEvents?.() ?? [];
    this.tool.move((steps.length ? steps : [event]).map((step) => this.stage.at(step)), event);
  }

  /** @param {PointerEvent} before @param {PointerEvent} now */
  zoomByFingers(before, now) {
    const other = [...this.pointers.values()].find((p) => p.pointerId !== now.pointerId);
    if (!other) return;
    const box = this.stage.root.getBoundingClientRect();
    const distance = (/** @type {PointerEvent} */ p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
    const middle = [(now.clientX + other.clientX) / 2 - box.left, (now.clientY + other.clientY) / 2 - box.top];
    this.stage.pan((now.clientX - before.clientX) / 2, (now.clientY - before.clientY) / 2);
    this.stage.zoomAt(distance(now) / Math.max(1, distance(before)), middle[0], middle[1]);
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.gesture === "tool") {
      if (event.type === "pointercancel" && event.timeStamp - this.began < PINCH_MS) this.tool.cancel();
      else this.tool.up(this.stage.at(event), event);
    }
    if (!this.pointers.size) {
      this.gesture = null;
      this.stage.root.classList.remove("grabbing");
    }
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const amount = event.deltaY || event.deltaX; // with shift, some browsers scroll sideways
    if (event.shiftKey || event.altKey) return this.grow(amount < 0 ? 1 : -1);
    const box = this.stage.root.getBoundingClientRect();
    const pixels = event.deltaMode === 1 ? 32 * amount : amount;
    this.stage.zoomAt(Math.exp(-pixels / (event.ctrlKey ? 120 : 400)), event.clientX - box.left, event.clientY - box.top);
    this.showRing();
  }

  /** @param {boolean} on */
  pan(on) {
    this.panning = on;
    if (on) this.panned = false;
    this.stage.root.classList.toggle("grab", on || this.store.tool === "hand");
    this.showRing();
  }

  showRing() {
    const { root, zoom } = this.stage;
    const shown = this.pointer !== null && this.tool.ring && !this.panning && this.store.clip !== null;
    root.classList.toggle("grab", this.panning || this.store.tool === "hand");
    root.classList.toggle("ringed", shown);
    this.ring.hidden = !shown;
    if (!shown || !this.pointer) return;
    const box = root.getBoundingClientRect();
    const size = Math.max(3, this.store.brush * zoom);
    this.ring.style.width = this.ring.style.height = `${size}px`;
    const [x, y] = [this.pointer.clientX - box.left - size / 2, this.pointer.clientY - box.top - size / 2];
    this.ring.style.transform = `translate(${x}px, ${y}px)`;
  }
}
