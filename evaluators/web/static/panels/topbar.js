// @ts-check
/** The bar at the top: clip, undo, view, zoom, download. */

import { MODES } from "../core/store.js";
import { el, icon, iconButton, setIcon } from "./dom.js";

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../view/stage.js").Stage} Stage */
/** @typedef {{open: () => void, download: () => void, help: () => void, setRate: (rate: number) => void}} Actions */

const LABELS = { overlay: "Overlay", outline: "Outline", mask: "Mask", cutout: "Cut-out", original: "Original" };
const THEMES = ["auto", "dark", "light"];

export class TopBar {
  /** @param {HTMLElement} root @param {Session} session @param {Stage} stage @param {Actions} actions */
  constructor(root, session, stage, actions) {
    this.session = session;
    this.store = session.store;
    this.stage = stage;
    this.clipName = el("span", { class: "clip-name" });
    const clip = el("button", { class: "clip-button", type: "button", title: "Open another video (Ctrl+O)", onclick: actions.open }, icon("film"), this.clipName, icon("open"));
    this.rate = el("input", { type: "number", class: "rate", min: "0.1", max: "240", step: "any", title: "Frames that are taken of each second of the video", "aria-label": "Frames a second" });
    this.rate.addEventListener("change", () => actions.setRate(this.rate.valueAsNumber));
    this.rated = el("label", { class: "rated" }, this.rate, "frames/s");
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
    this.zoom = el("button", { type: "button", class: "zoom", title: "Zoom; click for 100 % (1:1)", onclick: () => stage.place(1, ...stage.center) });
    this.theme = iconButton("auto", "Theme", () => this.nextTheme());
    this.download = el("button", { class: "download", type: "button", title: "Download all masks as a ZIP of PNGs (Ctrl+S)", onclick: actions.download }, icon("export"), el("span", {}, "Download masks"));
    root.append(
      el("span", { class: "brand" }, icon("layers"), el("b", {}, "voskit")),
      ...[clip, this.rated, el("div", { class: "group" }, this.undo, this.redo), el("span", { class: "spacer" }), this.modes],
      el("label", { class: "opacity", title: "Opacity of masks" }, this.opacity),
      el("div", { class: "group zoomer" }, iconButton("minus", "Zoom out", () => stage.zoomBy(1 / 1.25), "−"), this.zoom, iconButton("plus", "Zoom in", () => stage.zoomBy(1.25), "+"), iconButton("fit", "Fit", () => stage.fit(), "F")),
      ...[el("span", { class: "spacer" }), this.download, this.theme, iconButton("help", "Shortcuts", actions.help, "?")],
    );
    this.setTheme(localStorage.getItem("voskit-theme") ?? "auto");
    this.store.on(["clip", "info", "view"], () => this.render());
    this.render();
  }

  render() {
    const { clip, mode } = this.store;
    this.clipName.textContent = clip?.name ?? "";
    document.title = clip ? `${clip.name} – voskit` : "voskit";
    this.rated.hidden = !clip?.fps;
    if (clip?.fps && document.activeElement !== this.rate) this.rate.value = String(Math.round(1000 * clip.fps) / 1000);
    this.undo.disabled = !clip?.undo;
    this.redo.disabled = !clip?.redo;
    this.download.disabled = !clip?.masked.length;
    this.opacity.value = String(this.store.opacity);
    this.opacity.disabled = mode !== "overlay";
    for (const button of /** @type {Iterable<HTMLElement>} */ (this.modes.children)) {
      button.setAttribute("aria-checked", String(button.dataset.mode === mode));
    }
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
