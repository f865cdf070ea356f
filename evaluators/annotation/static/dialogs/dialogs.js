// @ts-check
/** Dialogs: confirmations, clips, import, export. */

import { el, icon } from "../panels/dom.js";
import { ClipDialog } from "./clips.js";
import { showDialog } from "./dialog.js";
import { exportDialog, importDialog } from "./files.js";

/** @typedef {import("../core/session.js").Session} Session */

export class Dialogs {
  /** @param {Session} session */
  constructor(session) {
    this.session = session;
    this.clips = new ClipDialog(session);
  }

  /** @param {string} title @param {string} text @param {string} yes @returns {Promise<boolean>} */
  confirm(title, text, yes) {
    return new Promise((resolve) => {
      const dialog = showDialog(title, "question", el("p", {}, text));
      const cancel = el("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
      const go = el("button", { type: "button", class: "danger", onclick: () => dialog.close("yes") }, yes);
      dialog.append(el("footer", {}, cancel, go));
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"));
      go.focus();
    });
  }

  /**
   * Ask which object to merge into which. @param {{id: number, name: string}[]} objects @param {number} current
   * @returns {Promise<{from: number, into: number}|null>}
   */
  merge(objects, current) {
    return new Promise((resolve) => {
      const choice = (/** @type {number} */ chosen) =>
        el("select", {}, ...objects.map((o) => el("option", { value: String(o.id), selected: o.id === chosen }, o.name)));
      const from = choice(current);
      const into = choice(objects.find((o) => o.id !== current)?.id ?? current);
      const text = el("p", {}, "In all frames, pixels of the first object become pixels of the second. You can undo this.");
      const dialog = showDialog("Merge two objects", "question", text, el("div", { class: "pair" }, from, icon("next"), into));
      const go = el("button", { type: "button", class: "primary", onclick: () => dialog.close("yes") }, "Merge");
      const check = () => (go.disabled = from.value === into.value);
      from.addEventListener("change", check);
      into.addEventListener("change", check);
      dialog.append(el("footer", {}, el("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), go));
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? { from: Number(from.value), into: Number(into.value) } : null));
      check();
    });
  }

  open() {
    this.clips.show();
  }

  importMasks() {
    importDialog(this.session);
  }

  exportMasks() {
    exportDialog(this.session);
  }
}
