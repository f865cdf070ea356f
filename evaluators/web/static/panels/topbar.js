// @ts-check
/** The bar at the top: clip, undo, view, zoom, download. */

import { el, icon, iconButton } from "./dom.js";
import { ViewControls } from "./view_controls.js";

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../view/stage.js").Stage} Stage */
/** @typedef {{open: () => void, download: () => void, help: () => void, setRate: (rate: number) => void}} Actions */

export class TopBar {
  /** @param {HTMLElement} root @param {Session} session @param {Stage} stage @param {Actions} actions */
  constructor(root, session, stage, actions) {
    this.session = session;
    this.store = session.store;
    this.clipName = el("span", { class: "clip-name" });
    const clip = el("button", { class: "clip-button", type: "button", title: "Open another video (Ctrl+O)", onclick: actions.open }, icon("film"), this.clipName, icon("open"));
    this.rate = el("input", { type: "number", class: "rate", min: "0.1", max: "240", step: "any", title: "Frames that are taken of each second of the video", "aria-label": "Frames a second" });
    this.rate.addEventListener("change", () => actions.setRate(this.rate.valueAsNumber));
    this.rated = el("label", { class: "rated" }, this.rate, "frames/s");
    this.undo = iconButton("undo", "Undo", () => session.history("undo"), "Ctrl+Z");
    this.redo = iconButton("redo", "Redo", () => session.history("redo"), "Ctrl+Y");
    this.view = new ViewControls(session, stage);
    this.download = el("button", { class: "download", type: "button", title: "Download all masks as a ZIP of PNGs (Ctrl+S)", onclick: actions.download }, icon("export"), el("span", {}, "Download masks"));
    root.append(
      el("span", { class: "brand" }, icon("layers"), el("b", {}, "voskit")),
      ...[clip, this.rated, el("div", { class: "group" }, this.undo, this.redo), el("span", { class: "spacer" }), this.view.modes],
      ...[this.view.opacity, this.view.zoomer],
      ...[el("span", { class: "spacer" }), this.download, this.view.theme, iconButton("help", "Shortcuts", actions.help, "?")],
    );
    this.store.on(["clip", "info"], () => this.render());
    this.render();
  }

  render() {
    const { clip } = this.store;
    this.clipName.textContent = clip?.name ?? "";
    document.title = clip ? `${clip.name} – voskit` : "voskit";
    this.rated.hidden = !clip?.fps;
    if (clip?.fps && document.activeElement !== this.rate) this.rate.value = String(Math.round(1000 * clip.fps) / 1000);
    this.undo.disabled = !clip?.undo;
    this.redo.disabled = !clip?.redo;
    this.download.disabled = !clip?.masked.length;
  }
}
