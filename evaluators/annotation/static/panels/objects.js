// @ts-check
/** The list of objects. */

import * as api from "../core/api.js";
import { el, iconButton } from "./dom.js";

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../core/types.js").Clip} Clip */
/** @typedef {import("../core/types.js").ObjectInfo} ObjectInfo */
/** @typedef {import("../dialogs/dialogs.js").Dialogs} Dialogs */

export class ObjectPanel {
  /** @param {HTMLElement} root @param {Session} session @param {Dialogs} dialogs */
  constructor(root, session, dialogs) {
    this.session = session;
    this.store = session.store;
    this.dialogs = dialogs;
    this.list = el("ul", { class: "objects", role: "listbox", "aria-label": "Objects" });
    this.state = "";
    /** The object that was current when the rows were made. */
    this.object = -1;
    this.merge = iconButton("merge", "Merge two objects", () => this.mergeObjects());
    const add = iconButton("plus", "New object", () => this.add(), "N");
    root.append(el("header", {}, el("h2", {}, "Objects"), this.merge, add), this.list);
    this.store.on(["objects", "info", "clip", "view"], () => this.render());
    this.pressed = false;
    this.list.addEventListener("pointerdown", () => (this.pressed = true));
    for (const name of ["pointerup", "pointercancel"]) {
      window.addEventListener(name, () => {
        if (!this.pressed) return;
        this.pressed = false;
        setTimeout(() => this.render()); // after the click
      });
    }
  }

  render() {
    for (const row of /** @type {Iterable<HTMLElement>} */ (this.list.children)) {
      const current = row.dataset.id === String(this.store.object);
      row.classList.toggle("current", current);
      row.setAttribute("aria-selected", String(current));
    }
    if (this.pressed || this.list.querySelector("input.name:focus")) return; // a click or a name isn't finished
    const { store } = this;
    const state = JSON.stringify([store.clip?.id, store.objects, store.object, store.solo]);
    if (state === this.state) return; // rows stay, so that a click isn't lost while a propagation runs
    this.state = state;
    const { object } = this;
    this.object = store.object;
    this.list.replaceChildren(...(store.clip ? store.objects.map((object, i) => this.row(object, i)) : []));
    /** @type {HTMLButtonElement} */ (this.merge).disabled = store.objects.length < 2;
    if (object !== store.object) this.list.querySelector(".current")?.scrollIntoView({ block: "nearest" });
  }

  /** @param {ObjectInfo} object @param {number} position */
  row(object, position) {
    const { store, session } = this;
    const current = object.id === store.object;
    const visible = store.isVisible(object.id);
    const color = el("input", { type: "color", class: "swatch", value: object.color, title: "Color", "aria-label": `Color of ${store.nameOf(object.id)}` });
    color.addEventListener("change", () => session.changeObject(object.id, { color: color.value }));
    const name = el("input", { class: "name", value: object.name, placeholder: `object ${object.id}`, title: "Name", spellcheck: false, maxLength: 200 });
    name.setAttribute("aria-label", "Name");
    name.addEventListener("focus", () => session.selectObject(object.id));
    name.addEventListener("keydown", (event) => ["Enter", "Escape"].includes(event.key) && name.blur());
    name.addEventListener("blur", () => {
      if (name.value !== object.name) session.changeObject(object.id, { name: name.value });
      this.render();
    });
    const eye = iconButton(visible ? "eye" : "hidden", visible ? "Hide" : "Show", () => this.toggleVisible(object), "", visible ? "" : "on");
    const lock = iconButton(object.locked ? "lock" : "unlocked", object.locked ? "Unlock" : "Lock", () => this.toggleLocked(object), "", object.locked ? "on" : "quiet");
    const solo = iconButton("solo", "Show this one only", () => this.toggleSolo(object.id), "S", store.solo === object.id ? "on" : "quiet");
    const remove = iconButton("trash", "Delete from all frames", () => this.remove(object), "", "quiet");
    const key = position < 9 ? el("kbd", { title: `Key ${position + 1}` }, String(position + 1)) : el("kbd", { class: "none" });
    const given = el("span", { class: "count", title: `given in ${object.given} frames` }, object.given ? String(object.given) : "");
    const row = el("li", { class: `object${current ? " current" : ""}${visible ? "" : " unseen"}`, role: "option", "aria-selected": String(current) });
    row.dataset.id = String(object.id);
    row.append(key, color, name, given, solo, lock, eye, remove);
    row.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("button, input")) return;
      session.selectObject(object.id);
    });
    return row;
  }

  /** @param {ObjectInfo} object */
  toggleVisible(object) {
    if (this.store.solo !== null) {
      this.store.solo = null;
      return this.store.emit("view");
    }
    return this.session.changeObject(object.id, { visible: !object.visible });
  }

  /** @param {ObjectInfo} object */
  toggleLocked(object) {
    return this.session.changeObject(object.id, { locked: !object.locked });
  }

  /** @param {number} id */
  toggleSolo(id) {
    this.store.solo = this.store.solo === id ? null : id;
    this.store.emit("view");
  }

  async add() {
    const { clip } = this.store;
    if (!clip) return;
    const made = this.session.inTurn(() => this.make(clip));
    await (this.added = this.added.then(() => this.session.attempt(() => this.choose(clip, made)))); // one at a time
  }

  /** @type {Promise<unknown>} */
  added = Promise.resolve();

  /** Make an object on the server. @param {Clip} clip @returns {Promise<number>} its id */
  async make(clip) {
    const path = api.inClip(clip.id, "objects");
    const { objects } = await api.clip(clip.id);
    if (!objects.length) await api.json(path, "POST", {}); // the one already shown
    return (await api.json(path, "POST", {})).id;
  }

  /** @param {Clip} clip @param {Promise<number>} made */
  async choose(clip, made) {
    const id = await made;
    if (this.store.clip !== clip) return;
    await this.session.readObjects();
    await this.session.editor.ended(); // so that a stroke stays with its object
    this.session.selectObject(id);
    const name = this.list.querySelector(`[data-id="${id}"] .name`);
    if (name instanceof HTMLInputElement && matchMedia("(pointer: fine)").matches) name.scrollIntoView({ block: "nearest" });
  }

  /** @param {ObjectInfo} object */
  async remove(object) {
    const name = this.store.nameOf(object.id);
    const text = `This removes “${name}” from all frames, given and propagated. Undo brings it back.`;
    if (!(await this.dialogs.confirm(`Delete “${name}”?`, text, "Delete"))) return;
    await this.session.attempt(() => this.session.send("DELETE", `objects/${object.id}`));
  }

  async mergeObjects() {
    const { store } = this;
    if (store.objects.length < 2) return;
    const choice = await this.dialogs.merge(store.objects.map((o) => ({ id: o.id, name: store.nameOf(o.id) })), store.object);
    if (choice) await this.session.attempt(() => this.session.send("POST", "objects/merge", choice));
  }

  /** Select the object before or after the current one. @param {1|-1} by */
  cycle(by) {
    const ids = this.store.objects.map((o) => o.id);
    const at = ids.indexOf(this.store.object);
    this.session.selectObject(ids[(at + by + ids.length) % ids.length]);
  }
}

