// @ts-check
/** Keyboard handling. Shortcuts are off while the user types or a dialog is open. */

import { SHORTCUTS } from "./shortcuts.js";

const TAP_MS = 400;

/** Name of a key with its modifiers, as in the table of shortcuts. @param {KeyboardEvent} event */
export function describe(event) {
  const key = event.key === " " ? "Space" : event.key;
  const letter = /^[a-z]$/i.test(key);
  const name = letter ? (event.shiftKey ? key.toUpperCase() : key.toLowerCase()) : key;
  const shift = event.shiftKey && (letter || key.length > 1) ? "Shift+" : "";
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${shift}${name}`;
}

/** Return true if keys belong to a text field. @param {EventTarget|null} target */
export function isField(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["checkbox", "button", "submit", "range", "color", "radio"].includes(target.type);
}

/** Return true if a key presses a button that has the keyboard focus. @param {KeyboardEvent} event */
function presses(event) {
  return ["Enter", " "].includes(event.key) && event.target instanceof HTMLButtonElement && event.target.matches(":focus-visible");
}

/**
 * Run actions by keys. `actions` has functions by `run` of the table; the toolbox is notified of the space key.
 * @param {import("./actions.js").Actions} actions
 * @param {import("../tools/toolbox.js").Toolbox} toolbox
 */
export function listenToKeys(actions, toolbox) {
  const shortcuts = SHORTCUTS.flatMap(([, group]) => group).filter(({ run }) => run in actions);
  const table = new Map(shortcuts.flatMap((shortcut) => shortcut.keys.map((key) => /** @type {const} */ ([key, shortcut]))));
  let spaceSince = 0;
  const blocked = (/** @type {KeyboardEvent} */ event) => isField(event.target) || document.querySelector("dialog[open]") !== null;

  window.addEventListener("keydown", (event) => {
    if (blocked(event) || event.altKey || event.isComposing) return;
    const key = describe(event);
    const shortcut = table.get(key);
    if (!shortcut || presses(event)) return;
    if (document.querySelector("#welcome:not([hidden])") && !["open", "help"].includes(shortcut.run)) return; // the clip is hidden
    event.preventDefault();
    if (event.target instanceof HTMLElement && event.target !== document.body) event.target.blur();
    if (key === "Space") {
      if (event.repeat) return;
      spaceSince = event.timeStamp;
      return toolbox.pan(true);
    }
    if (event.repeat && !shortcut.repeat) return;
    actions[shortcut.run](key);
  });

  window.addEventListener("keyup", (event) => {
    if (event.key !== " " || !spaceSince) return;
    const tapped = event.timeStamp - spaceSince < TAP_MS && !toolbox.panned;
    spaceSince = 0;
    toolbox.pan(false);
    if (tapped && !blocked(event)) actions.play?.("Space");
  });

  window.addEventListener("blur", () => {
    spaceSince = 0;
    toolbox.pan(false);
  });
}
