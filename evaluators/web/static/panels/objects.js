// @ts-check
/** The list of objects. */

import { el, iconButton } from "./dom.js";

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../core/types.js").ObjectInfo} ObjectInfo */

export class ObjectPanel {
  /** @param {HTMLElement} root @param {Session} session */
  constructor(root, session) {
    this.session = session;
    this.store = session.store;
    this.list = el("ul", { class: "objects", role: "listbox", "aria-label": "Objects" });
    this.state = "";
    const add = iconButton("plus", "New object", () => session.addObject(), "N");
    root.append(el("header", {}, el("h2", {}, "Objects"), add), this.list);
    this.store.on(["objects", "clip", "view"], () => this.render());
  }

  render() {
    if (this.list.querySelector("input.name:focus")) return; // a name is being typed
    const { store } = this;
    const state = JSON.stringify([store.clip?.id, store.objects, store.object, store.solo]);
    if (state === this.state) return; // keep the rows, so that a click isn't lost while a propagation runs
    this.state = state;
    this.list.replaceChildren(...(store.clip ? store.objects.map((object, i) => this.row(object, i)) : []));
  }

  /** @param {ObjectInfo} object @param {number} position */
  row(object, position) {
    const { store, session } = this;
    const { id } = object;
    const current = id === store.object;
    const visible = store.isVisible(id);
    const color = el("input", { type: "color", class: "swatch", value: object.color, title: "Color", "aria-label": `Color of ${store.nameOf(id)}` });
    color.addEventListener("change", () => session.changeObject(id, { color: color.value }));
    const name = el("input", { class: "name", value: object.name, placeholder: `object ${id}`, title: "Name", spellcheck: false, maxLength: 200, "aria-label": "Name" });
    name.addEventListener("focus", () => session.selectObject(id));
    name.addEventListener("keydown", (event) => ["Enter", "Escape"].includes(event.key) && name.blur());
    name.addEventListener("blur", () => name.value !== object.name && session.changeObject(id, { name: name.value }));
    const eye = iconButton(visible ? "eye" : "hidden", visible ? "Hide" : "Show", () => this.toggleVisible(object), "", visible ? "" : "on");
    const lock = iconButton(object.locked ? "lock" : "unlocked", object.locked ? "Unlock" : "Lock", () => session.changeObject(id, { locked: !object.locked }), "", object.locked ? "on" : "quiet");
    const remove = iconButton("trash", "Delete from all frames", () => session.deleteObject(id), "", "quiet");
    const key = position < 9 ? el("kbd", { title: `Key ${position + 1}` }, String(position + 1)) : el("kbd", { class: "none" });
    const row = el("li", { class: `object${current ? " current" : ""}${visible ? "" : " unseen"}`, role: "option", "aria-selected": String(current) });
    row.dataset.id = String(id);
    row.append(key, color, name, lock, eye, remove);
    row.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("button, input")) return;
      session.selectObject(id);
    });
    return row;
  }

  /** @param {ObjectInfo} object */
  toggleVisible(object) {
    if (this.store.solo === null) return this.session.changeObject(object.id, { visible: !object.visible });
    this.store.solo = null;
    return this.store.emit("view");
  }

  /** @param {number} id */
  toggleSolo(id) {
    this.store.solo = this.store.solo === id ? null : id;
    this.store.emit("view");
  }

  /** Select the object before or after the current one. @param {1|-1} by */
  cycle(by) {
    const ids = this.store.objects.map((o) => o.id);
    this.session.selectObject(ids[(ids.indexOf(this.store.object) + by + ids.length) % ids.length]);
  }
}
