// @ts-check
/** Short messages. */

import { el, icon } from "./dom.js";

const SHOWN_MS = 2600;
const ERROR_MS = 7000;

/** Messages at the lower edge of the main view. */
export class Messages {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
  }

  /** @param {string} text @param {"info"|"error"} [kind] */
  say(text, kind = "info") {
    for (const old of [...this.root.children].slice(0, -1)) old.remove();
    const message = el("div", { class: `message ${kind}`, role: kind === "error" ? "alert" : "status" }, kind === "error" ? icon("warning") : null, text);
    this.root.append(message);
    setTimeout(() => message.remove(), kind === "error" ? ERROR_MS : SHOWN_MS);
  }
}
