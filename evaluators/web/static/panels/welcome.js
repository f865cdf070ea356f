// @ts-check
/** The start page: a place to drop a video, and file pickers. */

import { droppedFiles } from "../media/source.js";
import { el, icon } from "./dom.js";

export class Welcome {
  /** @param {HTMLElement} root @param {(files: File[]) => Promise<void>} open */
  constructor(root, open) {
    this.root = root;
    this.open = open;
    this.video = picker("video/*,image/*", true, (files) => this.take(files));
    this.folder = picker("", false, (files) => this.take(files));
    this.folder.webkitdirectory = true;
    this.note = el("p", { class: "note", role: "status" });
    this.drop = el(
      "div",
      { class: "drop" },
      icon("film"),
      el("p", {}, "Drop a video, images, or a folder of images here"),
      el(
        "div",
        { class: "pickers" },
        el("button", { type: "button", class: "primary", onclick: () => this.video.click() }, icon("open"), "Choose a video or images"),
        el("button", { type: "button", onclick: () => this.folder.click() }, icon("folder"), "Choose a folder"),
      ),
      this.note,
    );
    this.license = el("p", { class: "license" });
    root.append(
      el("h1", {}, "Segment a video in this browser"),
      el("p", { class: "hint" }, "Paint objects in one frame and let the network carry them through the video. Nothing leaves this computer."),
      el("div", { class: "opener" }, this.drop, this.video, this.folder),
      this.license,
    );
    this.listen();
  }

  listen() {
    let depth = 0;
    const over = (/** @type {boolean} */ on) => this.drop.classList.toggle("over", on);
    window.addEventListener("dragenter", () => over(++depth > 0));
    window.addEventListener("dragleave", () => over(--depth > 0));
    window.addEventListener("dragover", (event) => event.preventDefault());
    window.addEventListener("drop", async (event) => {
      event.preventDefault();
      depth = 0;
      over(false);
      if (event.dataTransfer) this.take(await droppedFiles(event.dataTransfer));
    });
  }

  /** @param {File[]} files */
  async take(files) {
    if (!files.length) return;
    this.say("Opening …");
    try {
      await this.open(files);
      this.say("");
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error), true);
    }
  }

  /** @param {string} text @param {boolean} [error] */
  say(text, error = false) {
    this.note.textContent = text;
    this.note.classList.toggle("error", error);
  }
}

/** @param {string} accept @param {boolean} multiple @param {(files: File[]) => void} take */
function picker(accept, multiple, take) {
  const input = el("input", { type: "file", accept, multiple, hidden: true });
  input.addEventListener("change", () => {
    take([...(input.files ?? [])]);
    input.value = "";
  });
  return input;
}
