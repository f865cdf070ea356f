// @ts-check
/** The bar at the top: clip, undo, view, zoom, saved mark, import and export. */

import { el, icon, iconButton } from "./dom.js";
import { ViewControls } from "./view_controls.js";

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../view/stage.js").Stage} Stage */

const SAVED = { saved: "Saved", saving: "Saving…", unsaved: "Not saved" };

export class TopBar {
  /** @param {HTMLElement} root @param {Session} session @param {Stage} stage @param {import("../dialogs/dialogs.js").Dialogs} dialogs @param {() => void} help @param {() => void} undo */
  constructor(root, session, stage, dialogs, help, undo) {
    this.session = session;
    this.store = session.store;
    this.clipName = el("span", { class: "clip-name" }, "Open a clip");
    this.clip = el("button", { class: "clip-button", type: "button", title: "Clips of this project (Ctrl+O)", onclick: () => dialogs.open() }, icon("film"), this.clipName, icon("down"));
    this.undo = iconButton("undo", "Undo", undo, "Ctrl+Z");
    this.redo = iconButton("redo", "Redo", () => session.history("redo"), "Ctrl+Y");
    this.view = new ViewControls(session, stage);
    this.saved = el("span", { class: "saved", role: "status" });
    const wide = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ title, /** @type {() => void} */ onclick) =>
      el("button", { class: "labeled", type: "button", title, onclick }, icon(name), el("span", {}, label));
    root.append(
      el("span", { class: "brand" }, icon("layers"), el("b", {}, "voskit")),
      this.clip,
      el("div", { class: "group" }, this.undo, this.redo),
      this.saved,
      el("span", { class: "spacer" }),
      this.view.modes,
      this.view.opacity,
      this.view.zoomer,
      el("span", { class: "spacer" }),
      wide("import", "Import", "Import masks", () => dialogs.importMasks()),
      wide("export", "Export", "Export masks and videos (Ctrl+E)", () => dialogs.exportMasks()),
      this.view.theme,
      iconButton("help", "Shortcuts", help, "?"),
    );
    this.store.on(["clip", "info", "saving", "project"], () => this.render());
    this.render();
  }

  render() {
    const { clip, saving, opening } = this.store;
    const shown = opening ?? clip;
    this.clipName.textContent = shown?.name ?? "Open a clip";
    document.title = shown ? `${saving === "saved" ? "" : "● "}${shown.name} – voskit` : "voskit annotate";
    this.setHistory(this.undo, "Undo", clip?.undo ?? null, "Ctrl+Z");
    this.setHistory(this.redo, "Redo", clip?.redo ?? null, "Ctrl+Y");
    this.saved.textContent = clip ? SAVED[saving] : "";
    this.saved.className = `saved ${saving}`;
  }

  /** @param {HTMLButtonElement} button @param {string} label @param {string|null} text @param {string} key */
  setHistory(button, label, text, key) {
    button.disabled = text === null;
    button.title = text === null ? `${label} (${key})` : `${label}: ${text} (${key})`;
  }
}
