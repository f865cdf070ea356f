// @ts-check
/** View, opacity of masks, zoom, colors of the page. */

import { MODES } from "../core/store.js";
import { el, iconButton, setIcon } from "./dom.js";

const LABELS = { overlay: "Overlay", outline: "Outline", mask: "Mask", cutout: "Cut-out", original: "Original" };
const THEMES = ["auto", "dark", "light"];

export class ViewControls {
  /** @param {any} session @param {import("../view/stage.js").Stage} stage */
  constructor(session, stage) {
    this.session = session;
    /** @type {import("../core/store.js").Store} */
    this.store = session.store;
    this.stage = stage;
    this.modes = el("div", { class: "segmented", role: "radiogroup", "aria-label": "View" });
    for (const mode of MODES) {
      const button = el("button", { type: "button", role: "radio", title: `${LABELS[mode]} (V for the next view)`, onclick: () => this.setMode(mode) }, LABELS[mode]);
      button.dataset.mode = mode;
      this.modes.append(button);
    }
    this.slider = el("input", { type: "range", min: "0", max: "1", step: "0.05", title: "Opacity of masks", "aria-label": "Opacity of masks" });
    this.slider.addEventListener("input", () => {
      this.store.opacity = Number(this.slider.value);
      this.store.emit("view");
    });
    this.opacity = el("label", { class: "opacity", title: "Opacity of masks" }, this.slider);
    this.zoom = el("button", { type: "button", class: "zoom", title: "Zoom; click for 100 % (1:1)", onclick: () => stage.place(1, ...stage.center) });
    this.zoomer = el("div", { class: "group zoomer" }, iconButton("minus", "Zoom out", () => stage.zoomBy(1 / 1.25), "−"), this.zoom, iconButton("plus", "Zoom in", () => stage.zoomBy(1.25), "+"), iconButton("fit", "Fit", () => stage.fit(), "F"));
    this.theme = iconButton("auto", "Theme", () => this.nextTheme());
    this.setTheme(localStorage.getItem("voskit-theme") ?? "auto");
    this.store.on(["view", "clip"], () => this.render());
    this.render();
  }

  render() {
    const { mode, opacity } = this.store;
    this.slider.value = String(opacity);
    this.slider.disabled = mode !== "overlay";
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
    this.store.emit("marks"); // redraw the timeline in the new colors
  }
}
