// @ts-check
/** Dialog with the project's clips, to open more. */

import * as api from "../core/api.js";
import { el, icon, iconButton } from "../panels/dom.js";
import { showDialog, takeDrops } from "./dialog.js";

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../core/types.js").ClipSummary} ClipSummary */
/** @typedef {import("../core/types.js").Listing} Listing */

export class ClipDialog {
  /** @param {Session} session */
  constructor(session) {
    this.session = session;
    this.store = session.store;
    /** @type {HTMLDialogElement|null} */
    this.dialog = null;
    this.list = el("div", { class: "clips" });
    this.store.on(["project", "clip"], () => this.dialog && this.renderList());
  }

  show() {
    if (this.dialog) return;
    this.renderList();
    this.dialog = showDialog("Clips", "open-dialog", this.list, this.opener());
    this.dialog.addEventListener("close", () => (this.dialog = null));
  }

  /** Ways to open a clip: upload, a path, a bundled scene. Also used on the start page. @returns {HTMLElement} */
  opener() {
    const file = el("input", { type: "file", accept: "video/*,.mkv,.y4m,.zip", hidden: true, multiple: false });
    const progress = el("progress", { max: 1, hidden: true });
    const note = el("p", { class: "note", role: "status" });
    const choose = el("button", { type: "button", class: "primary", onclick: () => file.click() }, icon("import"), el("span", {}, "Upload a video"));
    const drop = el("div", { class: "drop" }, choose, el("span", { class: "hint" }, "or drop it here"), file, progress, note);
    const send = (/** @type {File} */ video) => this.upload(video, choose, progress, note);
    file.addEventListener("change", () => file.files?.[0] && send(file.files[0]));
    takeDrops(drop, (files) => send(files[0]));
    const parts = [drop];
    if (this.store.project?.root) parts.push(this.browser());
    const scenes = this.store.project?.scenes ?? [];
    if (scenes.length) {
      const buttons = scenes.map((scene) => el("button", { type: "button", onclick: () => this.add({ scene }) }, icon("film"), el("span", {}, scene)));
      parts.push(el("div", { class: "scenes" }, el("span", { class: "hint" }, "Or try a scene that comes with voskit:"), ...buttons));
    }
    return el("div", { class: "opener" }, ...parts);
  }

  /** The folder tree below the server's root. */
  browser() {
    const box = el("div", { class: "browser" });
    const path = el("input", { type: "text", placeholder: "Path on the server", spellcheck: false, "aria-label": "Path on the server" });
    const form = el("form", { class: "path" }, path, el("button", { type: "submit" }, "Open"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (path.value.trim()) this.add({ path: path.value.trim() });
    });
    const entries = el("ul", { class: "entries" });
    const go = async (/** @type {string} */ folder) => {
      const before = path.value;
      const listing = /** @type {Listing|undefined} */ (await this.session.attempt(() => api.json(`files?path=${encodeURIComponent(folder)}`)));
      if (!listing) return;
      const rows = listing.entries.map((entry) => this.entry(entry.name, entry.kind, () => (entry.kind === "folder" ? go(entry.path) : this.add({ path: entry.path }))));
      if (listing.parent !== null) rows.unshift(this.entry("..", "folder", () => go(/** @type {string} */ (listing.parent))));
      if (!rows.length) rows.push(el("li", { class: "hint" }, "No videos or folders of images here."));
      entries.replaceChildren(...rows);
      if (path.value === before) path.value = listing.path === "." ? "" : listing.path; // else the user has typed in the meantime
    };
    go("");
    box.append(el("div", { class: "hint" }, `On the server, below ${this.store.project?.root}:`), form, entries);
    return box;
  }

  /** @param {string} name @param {string} kind @param {() => void} onclick */
  entry(name, kind, onclick) {
    return el("li", {}, el("button", { type: "button", onclick }, icon(kind === "folder" ? "folder" : kind === "video" ? "film" : "layers"), el("span", {}, name)));
  }

  renderList() {
    const clips = this.store.project?.clips ?? [];
    this.list.replaceChildren(...clips.map((clip) => this.row(clip)));
    this.list.hidden = !clips.length;
  }

  /** @param {ClipSummary} clip */
  row(clip) {
    const current = clip.id === this.store.clip?.id;
    const facts = [];
    if (clip.state === "failed") facts.push(clip.error ?? "can't be opened", "click to try again");
    else if (clip.state === "opening") facts.push(`reading ${Math.round(100 * (clip.done ?? 0))} %`);
    else facts.push(`${clip.width}×${clip.height}`, `${clip.frames} frames`, `${clip.given} given`);
    const button = el("button", { type: "button", class: `clip${current ? " current" : ""} ${clip.state ?? ""}` }, el("b", {}, clip.name), el("span", { class: "facts" }, facts.join(" · ")));
    if (clip.frames && clip.state !== "failed") button.append(el("progress", { max: clip.frames, value: clip.masked, title: `${clip.masked} of ${clip.frames} frames have masks` }));
    button.addEventListener("click", () => this.choose(clip.id, clip.state === "failed"));
    const away = iconButton("close", "Remove from the list; its files stay", () => this.session.attempt(() => this.session.takeOff(clip.id)), "", "quiet");
    return el("div", { class: "clip-row" }, button, away);
  }

  /** @param {string} id @param {boolean} failed */
  async choose(id, failed = false) {
    this.dialog?.close();
    await this.session.attempt(() => (failed ? this.session.retry(id) : this.session.open(id)));
  }

  /** @param {{path?: string, scene?: string}} what */
  async add(what) {
    const clip = await this.session.attempt(() => api.json("clips", "POST", what));
    if (clip) await this.opened(/** @type {ClipSummary} */ (clip));
  }

  /** @param {ClipSummary} clip */
  async opened(clip) {
    await this.session.attempt(() => this.session.readProject());
    await this.choose(clip.id);
  }

  /** @param {File} video @param {HTMLButtonElement} button @param {HTMLProgressElement} progress @param {HTMLElement} note */
  async upload(video, button, progress, note) {
    const form = new FormData();
    form.append("video", video, video.name);
    button.disabled = true;
    progress.hidden = false;
    note.textContent = `Uploading ${video.name}`;
    note.classList.remove("error");
    try {
      const clip = await api.upload("clips", form, (part) => (progress.value = part));
      note.textContent = "";
      await this.opened(clip);
    } catch (error) {
      note.textContent = error instanceof Error ? error.message : String(error);
      note.classList.add("error");
    } finally {
      button.disabled = false;
      progress.hidden = true;
    }
  }
}
