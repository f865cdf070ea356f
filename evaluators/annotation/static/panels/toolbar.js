// @ts-check
/** Toolbar: the tools, and the options of the current one. */

import { LARGEST, SMALLEST } from "../tools/toolbox.js";
import { el, iconButton } from "./dom.js";

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../tools/toolbox.js").Toolbox} Toolbox */

const TOOLS = /** @type {[string, string, string][]} */ ([
  ["brush", "Brush", "B"],
  ["eraser", "Eraser", "E"],
  ["fill", "Fill", "G"],
  ["polygon", "Polygon or lasso", "L"],
  ["prompt", "Select by clicks or a box", "Q"],
  ["hand", "Hand", "H"],
]);

const HINTS = /** @type {Record<string, string>} */ ({
  brush: "Right button erases · Shift-click draws a straight line",
  eraser: "Right button paints",
  fill: "Click a region to assign it to the object · right button: to the background",
  polygon: "Click corners or drag a lasso · Enter closes · right button first: cut out",
  prompt: "Click the object, right-click what isn't it, or drag a box",
  hand: "Drag to move · wheel to zoom",
});

export class ToolBar {
  /** @param {HTMLElement} bar @param {HTMLElement} options @param {Session} session @param {Toolbox} toolbox */
  constructor(bar, options, session, toolbox) {
    this.store = session.store;
    this.toolbox = toolbox;
    this.options = options;
    this.buttons = TOOLS.map(([name, label, key]) => {
      const button = iconButton(name, label, () => toolbox.choose(name), key, "tool");
      button.dataset.tool = name;
      return button;
    });
    bar.append(...this.buttons);
    // the slider is logarithmic, so that small brushes are as easy to set as large ones
    this.slider = el("input", { type: "range", min: "0", max: "100", step: "1", title: "Size ([ and ])", "aria-label": "Size of the brush" });
    this.slider.addEventListener("input", () => toolbox.resize(SMALLEST * (LARGEST / SMALLEST) ** (Number(this.slider.value) / 100)));
    this.size = el("input", { type: "number", class: "size", min: String(SMALLEST), max: String(LARGEST), title: "Diameter in pixels of the frame", "aria-label": "Diameter" });
    this.size.addEventListener("change", () => toolbox.resize(Number(this.size.value) || SMALLEST));
    this.size.addEventListener("keydown", (event) => event.key === "Enter" && this.size.blur());
    this.scope = el("button", { type: "button", class: "toggle", title: "Objects that the eraser takes (Shift+E)", onclick: () => this.toggleEraser() });
    this.prompter = el("select", { title: "Prompter", "aria-label": "Prompter" });
    this.prompter.addEventListener("change", () => (toolbox.prompt.prompter = this.prompter.value));
    this.forget = el("button", { type: "button", title: "Esc", onclick: () => toolbox.prompt.cancel() }, "New selection");
    this.waiting = el("span", { class: "waiting" }, "…");
    this.object = el("span", { class: "current-object" });
    this.hint = el("span", { class: "hint" });
    options.append(this.object, el("label", { class: "size-line" }, this.slider, this.size, "px"), this.scope, this.prompter, this.forget, this.waiting, this.hint);
    this.store.on(["tool", "project", "objects", "clip", "view"], () => this.render());
    this.render();
  }

  toggleEraser() {
    this.store.eraseAll = !this.store.eraseAll;
    this.store.emit("tool");
  }

  render() {
    const { store } = this;
    const { tool, brush } = store;
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    const round = tool === "brush" || tool === "eraser";
    /** @type {HTMLElement} */ (this.slider.parentElement).hidden = !round;
    this.slider.value = String((100 * Math.log(brush / SMALLEST)) / Math.log(LARGEST / SMALLEST));
    if (document.activeElement !== this.size) this.size.value = String(brush);
    this.scope.hidden = !round;
    this.scope.textContent = store.eraseAll ? "Eraser: all objects" : "Eraser: this object";
    this.scope.setAttribute("aria-pressed", String(store.eraseAll));
    this.renderPrompters(tool === "prompt");
    this.hint.textContent = HINTS[tool] ?? "";
    const dot = el("i");
    dot.style.background = store.objectOf(store.object)?.color ?? "transparent";
    this.object.replaceChildren(dot, store.nameOf(store.object));
    this.object.hidden = tool === "hand";
  }

  /** @param {boolean} shown */
  renderPrompters(shown) {
    const names = this.store.project?.prompters ?? [];
    const { prompt } = this.toolbox;
    this.prompter.hidden = !shown || names.length < 2;
    this.forget.hidden = !shown || (!prompt.points.length && !prompt.box);
    this.waiting.hidden = !shown || !prompt.waiting;
    if (this.prompter.childElementCount === names.length) return;
    this.prompter.replaceChildren(...names.map((name) => el("option", { value: name, selected: name === prompt.prompter }, name)));
  }
}

