// @ts-check
/** The banner of things that need a decision. */

import { el, icon } from "./dom.js";

/** @typedef {import("../core/session.js").Session} Session */

/** The banner over the main view: no connection, and strokes that the server refused. */
export class Banner {
  /** @param {HTMLElement} root @param {Session} session */
  constructor(root, session) {
    this.root = root;
    this.session = session;
    session.store.on(["connection", "saving", "project"], () => this.render());
  }

  render() {
    const { store, saver } = this.session;
    const frames = [...saver.drafts.keys()];
    const parts = [];
    if (store.trouble) parts.push(el("div", { class: "banner warn" }, icon("warning"), el("span", {}, store.trouble)));
    if (frames.length) {
      const which = frames.length === 1 ? `Frame ${frames[0]}` : `Frames ${frames.join(", ")}`;
      const cause = saver.reason ? `not saved: ${saver.reason}.` : "changed elsewhere (another tab, the propagation, or undo), and shown as stored now.";
      const text = `${which}: ${cause} Your strokes are kept.`;
      const again = el("button", { class: "primary", type: "button", onclick: () => this.session.reapplyDrafts() }, "Paint it again here");
      const discard = el("button", { type: "button", onclick: () => this.session.discardDrafts() }, "Discard");
      parts.push(el("div", { class: "banner warn conflict" }, icon("warning"), el("span", {}, text), again, discard));
    }
    const model = store.project?.model;
    if (model?.state === "failed") {
      parts.push(el("div", { class: "banner warn" }, icon("warning"), el("span", {}, `The network couldn't be loaded: ${model.error ?? ""}`)));
    }
    this.root.replaceChildren(...parts);
  }
}
