// @ts-check
/** The bar at the top: clip, undo, view, zoom, saved mark, import and export. */

import { MODES } from "../core/store.js";
import { el, icon, iconButton, setIcon } from "./dom.js";

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../view/stage.js").Stage} Stage */

const LABELS = { overlay: "Overlay", outline: "Outline", mask: "Mask", cutout: "Cut-out", original: "Original" };
const SAVED = { saved: "Saved", saving: "Saving…", unsaved: "Not saved" };
const THEMES = ["auto", "dark", "light"];

export class TopBar {
  /** @param {HTMLElement} root @param {Session} session @param {Stage} stage @param {import("../dialogs/dialogs.js").Dialogs} dialogs */
  constructor(root, session, stage, dialogs) {
    this.session = session;
    this.store = session.store;
    this.stage = stage;
    this.clipName = el("span", { class: "clip-name" }, "Open a clip");
    this.clip = el("button", { class: "clip-button", type: "button", title: "Clips of this project (Ctrl+O)", onclick: () => dialogs.open() }, icon("film"), this.clipName, icon("down"));
    this.undo = iconButton("undo", "Undo", () => session.history("undo"), "Ctrl+Z");
    this.redo = iconButton("redo", "Redo", () => session.history("redo"), "Ctrl+Y");
    this.modes = el("div", { class: "segmented", role: "radiogroup", "aria-label": "View" });
    for (const mode of MODES) {
      const button = el("button", { type: "button", role: "radio", title: `${LABELS[mode]} (V for the next view)`, onclick: () => this.setMode(mode) }, LABELS[mode]);
      button.dataset.mode = mode;
      this.modes.append(button);
    }
    this.opacity = el("input", { type: "range", min: "0", max: "1", step: "0.05", title: "Opacity of masks", "aria-label": "Opacity of masks" });
    this.opacity.addEventListener("input", () => {
      this.store.opacity = Number(this.opacity.value);
      this.store.emit("view");
    });
    this.saved = el("span", { class: "saved", role: "status" });
    this.zoom = el("button", { type: "button", class: "zoom", title: "Zoom; click for 100 % (1:1)", onclick: () => stage.place(1, ...stage.center) });
    this.theme = iconButton("auto", "Theme", () => this.nextTheme());
    const wide = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ title, /** @type {() => void} */ onclick) =>
      el("button", { class: "labeled", type: "button", title, onclick }, icon(name), el("span", {}, label));
    root.append(
      el("span", { class: "brand" }, icon("layers"), el("b", {}, "voskit")),
      this.clip,
      el("div", { class: "group" }, this.undo, this.redo),
      this.saved,
      el("span", { class: "spacer" }),
      this.modes,
      el("label", { class: "opacity", title: "Opacity of masks" }, this.opacity),
      el("div", { class: "group zoomer" }, iconButton("minus", "Zoom out", () => stage.zoomBy(1 / 1.25), "−"), this.zoom, iconButton("plus", "Zoom in", () => stage.zoomBy(1.25), "+"), iconButton("fit", "Fit", () => stage.fit(), "F")),
      el("span", { class: "spacer" }),
      wide("import", "Import", "Import masks", () => dialogs.importMasks()),
      wide("export", "Export", "Export masks and videos (Ctrl+E)", () => dialogs.exportMasks()),
      this.theme,
      iconButton("help", "Shortcuts", () => dialogs.help(), "?"),
    );
    this.setTheme(localStorage.getItem("voskit-theme") ?? "auto");
    this.store.on(["clip", "info", "saving", "view", "project"], () => this.render());
    this.render();
  }

  render() {
    const { clip, saving, mode, opening } = this.store;
    const shown = opening ?? clip;
    this.clipName.textContent = shown?.name ?? "Open a clip";
    document.title = shown ? `${saving === "saved" ? "" : "● "}${shown.name} – voskit` : "voskit annotate";
    this.setHistory(this.undo, "Undo", clip?.undo ?? null, "Ctrl+Z");
    this.setHistory(this.redo, "Redo", clip?.redo ?? null, "Ctrl+Y");
    this.saved.textContent = clip ? SAVED[saving] : "";
    this.saved.className = `saved ${saving}`;
    this.opacity.value = String(this.store.opacity);
    this.opacity.disabled = mode !== "overlay";
    for (const button of /** @type {Iterable<HTMLElement>} */ (this.modes.children)) {
      button.setAttribute("aria-checked", String(button.dataset.mode === mode));
    }
  }

  /** @param {HTMLButtonElement} button @param {string} label @param {string|null} text @param {string} key */
  setHistory(button, label, text, key) {
    button.disabled = text === null;
    button.title = text === null ? `${label} (${key})` : `${label}: ${text} (${key})`;
  }

  showZoom() {
    this.zoom.textContent = `${Math.round(100 * this.stage.zoom)} %`;
  }

  /** @param {import("../core/store.js").Mode} mode */
  setMode(mode) {
    this.store.mode = mode;
    this.store.emit("view");
  }

  nextMode() {
    this.setMode(MODES[(MODES.indexOf(this.store.mode) + 1) % MODES.length]);
  }

  nextTheme() {
    this.setTheme(THEMES[(THEMES.indexOf(this.themeName) + 1) % THEMES.length]);
    this.session.say(`Theme: ${this.themeName === "auto" ? "as the system" : this.themeName}`);
  }

  themeName = "auto";

  /** @param {string} name */
  setTheme(name) {
    this.themeName = THEMES.includes(name) ? name : "auto";
    localStorage.setItem("voskit-theme", this.themeName);
    document.documentElement.dataset.theme = this.themeName;
    setIcon(this.theme, { auto: "auto", dark: "moon", light: "sun" }[this.themeName] ?? "auto");
    this.stage.recolor();
    this.store.emit("marks"); // the timeline takes the new colors
  }
}
