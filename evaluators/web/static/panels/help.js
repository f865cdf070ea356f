// @ts-check
/** The dialog of shortcuts. */

import { el, iconButton } from "./dom.js";
import { GESTURES, SHORTCUTS } from "./shortcuts.js";

/** Show all shortcuts until the dialog is closed. */
export function showHelp() {
  const line = (/** @type {string} */ key, /** @type {string} */ text) => el("div", { class: "shortcut" }, el("kbd", {}, key), el("span", {}, text));
  const groups = SHORTCUTS.map(([title, group]) =>
    el("section", {}, el("h3", {}, title), ...group.map(({ keys, text, shown }) => line(shown ?? (keys[0].length === 1 ? keys[0].toUpperCase() : keys[0]), text))),
  );
  groups.push(el("section", {}, el("h3", {}, "Pointer"), ...GESTURES.map(([gesture, effect]) => line(gesture, effect))));
  const dialog = el("dialog", { class: "dialog help" });
  dialog.append(el("header", {}, el("h2", {}, "Shortcuts"), iconButton("close", "Close", () => dialog.close(), "Esc")), el("div", { class: "columns" }, ...groups));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
