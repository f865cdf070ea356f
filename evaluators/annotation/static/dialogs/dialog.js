// @ts-check
/** Modal dialog, and drag and drop of files. */

import { el, iconButton } from "../panels/dom.js";

/** Show a dialog with a title and a close button. @param {string} title @param {string} kind @param {...Node} children */
export function showDialog(title, kind, ...children) {
  const dialog = el("dialog", { class: `dialog ${kind}` });
  const cross = iconButton("close", "Close", () => dialog.close(), "Esc", "quiet");
  dialog.append(el("header", {}, el("h2", {}, title), cross), ...children);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.tabIndex = -1;
  dialog.showModal();
  dialog.focus(); // not the close button
  return dialog;
}

/** Accept files that are dropped on an element. @param {HTMLElement} element @param {(files: File[]) => void} take */
export function takeDrops(element, take) {
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("over");
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) take(files);
  });
}
