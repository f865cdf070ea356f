// @ts-check
/** The dialog of shortcuts. */

import { el } from "../panels/dom.js";
import { GESTURES, SHORTCUTS } from "../panels/shortcuts.js";
import { showDialog } from "./dialog.js";

/** Show the shortcuts of a page's actions, and gestures. @param {Record<string, unknown>} actions */
export function showHelp(actions) {
  const groups = SHORTCUTS.map(([title, shortcuts]) =>
    el("section", {}, el("h3", {}, title), ...shortcuts.filter(({ run }) => run in actions).map((s) => row(s.shown ?? s.keys.map(cap).join(" or "), s.text))),
  );
  const mouse = el("section", {}, el("h3", {}, "Mouse, pen, fingers"), ...GESTURES.map(([gesture, effect]) => row(gesture, effect)));
  showDialog("Shortcuts", "help", el("div", { class: "columns" }, ...groups, mouse));
}

/** @param {string} key */
function cap(key) {
  return key.length === 1 ? key.toUpperCase() : key;
}

/** @param {string} keys @param {string} text */
function row(keys, text) {
  return el("div", { class: "shortcut" }, el("kbd", {}, keys), el("span", {}, text));
}
