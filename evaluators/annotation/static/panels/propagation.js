// @ts-check
/** The panel of propagation: range, objects, progress. */

import { clock, el, icon } from "./dom.js";

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../core/types.js").Job} Job */

const TITLES = /** @type {Record<string, string>} */ ({ propagate: "Propagating", overlay: "Writing the overlay video", export: "Exporting" });

export class PropagationPanel {
  /** @param {HTMLElement} root @param {Session} session */
  constructor(root, session) {
    this.session = session;
    this.store = session.store;
    /** Excluded objects. @type {Set<number>} */
    this.out = new Set();
    this.state = "";
    const button = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ title, /** @type {() => void} */ onclick) =>
      el("button", { type: "button", title, onclick }, icon(name), el("span", {}, label));
    this.back = button("backward", "Back", "Propagate backwards from this frame (Shift+P)", () => this.start(-1));
    this.forth = button("forward", "Forward", "Propagate forwards from this frame (P)", () => this.start(1));
    this.both = button("both", "Both", "Propagate forwards, then backwards (A)", () => this.startBoth());
    this.forth.classList.add("primary");
    this.fuse = el("input", { type: "checkbox", checked: localStorage.getItem("voskit-fuse") === "yes" });
    this.fuse.addEventListener("change", () => localStorage.setItem("voskit-fuse", this.fuse.checked ? "yes" : "no"));
    const fuse = el("label", { class: "check", title: "Between two given frames, propagate in both directions and join the results: better masks in twice the time" }, this.fuse, "Join both directions");
    this.range = el("p", { class: "hint range" });
    this.chips = el("div", { class: "chips", role: "group", "aria-label": "Objects to propagate" });
    this.ready = el("div", { class: "ready" }, this.chips, el("div", { class: "buttons" }, this.back, this.both, this.forth), fuse, this.range);
    this.progress = el("progress", { max: 1, value: 0 });
    this.title = el("strong");
    this.figures = el("span", { class: "figures" });
    this.follow = el("button", { type: "button", title: "Show each new mask in the main view", onclick: () => this.followNow() }, icon("eye"), el("span", {}, "Follow"));
    const stop = el("button", { type: "button", class: "stop", title: "Stop; all masks so far stay (Esc)", onclick: () => session.stop() }, icon("stop"), el("span", {}, "Stop"));
    this.working = el("div", { class: "working", role: "status" }, el("div", { class: "job" }, this.title, this.figures), this.progress, el("div", { class: "buttons" }, this.follow, stop));
    root.append(el("header", {}, el("h2", {}, "Propagate")), this.ready, this.working);
    this.store.on(["jobs", "clip", "project"], () => this.render());
    this.store.on(["frame", "marks"], () => this.renderRange());
    this.store.on(["objects", "clip", "info"], () => this.renderChips());
    this.store.on("clip", () => this.out.clear());
  }

  /** Propagate from the shown frame to the end of the range. @param {1|-1} direction */
  start(direction) {
    const { store } = this;
    if (!store.clip) return;
    if (this.session.starting) return;
    if (store.running) return this.session.say("A job is running: stop it first, or wait.", "error");
    const [first, last] = store.range;
    const objects = this.chosen();
    if (objects?.length === 0) return this.session.say("Choose at least one object to propagate.", "error");
    const end = direction > 0 ? Math.max(last, store.frame) : Math.min(first, store.frame);
    return this.session.propagate(store.frame, end, objects, this.fuse.checked);
  }

  /** Propagate to both ends of the range, one after the other, and show this frame again. */
  async startBoth() {
    const objects = this.chosen();
    if (this.both.disabled || this.store.running || this.session.starting || objects?.length === 0) return this.start(this.forth.disabled ? -1 : 1);
    const { clip, frame } = this.store;
    const [first, last] = this.store.range;
    const joined = this.fuse.checked;
    const run = (/** @type {number} */ end) => this.session.propagate(frame, end, objects, joined, frame);
    if ((await run(last)) && this.store.clip === clip) await run(first);
  }

  /** Objects to propagate; null: all. @returns {number[]|null} */
  chosen() {
    const ids = this.store.objects.map((object) => object.id);
    const chosen = ids.filter((id) => !this.out.has(id));
    return chosen.length === ids.length ? null : chosen;
  }

  followNow() {
    this.session.following = true;
    const frame = this.store.running?.frame;
    if (typeof frame === "number") this.session.navigator.go(frame);
    this.store.emit("jobs");
  }

  renderChips() {
    const { store } = this;
    for (const id of this.out) if (!store.objectOf(id)) this.out.delete(id);
    const state = JSON.stringify([store.objects, [...this.out]]);
    if (state === this.state) return;
    this.state = state;
    this.chips.hidden = store.objects.length < 2;
    this.chips.replaceChildren(
      ...store.objects.map((object) => {
        const on = !this.out.has(object.id) && !object.locked;
        const dot = el("i");
        dot.style.background = object.color;
        const title = object.locked ? "Locked: stays as it is" : on ? "Will be propagated" : "Stays as it is";
        const chip = el("button", { type: "button", class: `chip${on ? " on" : ""}`, title, disabled: object.locked, "aria-pressed": String(on) }, dot, store.nameOf(object.id));
        chip.addEventListener("click", () => {
          if (!this.out.delete(object.id)) this.out.add(object.id);
          this.renderChips();
        });
        return chip;
      }),
    );
  }

  renderRange() {
    const { clip, frame } = this.store;
    if (!clip) return;
    const [first, last] = this.store.range;
    const back = Math.max(0, frame - first);
    const forth = Math.max(0, last - frame);
    this.back.disabled = back === 0;
    this.forth.disabled = forth === 0;
    this.both.disabled = back === 0 || forth === 0;
    const part = first > 0 || last < clip.frames - 1 ? ` within ${first} to ${last}` : "";
    this.range.textContent = `From frame ${frame}: ${back} back, ${forth} forward${part}. Given frames stay.`;
  }

  render() {
    const job = this.store.running;
    const model = this.store.project?.model;
    this.ready.hidden = job !== undefined;
    this.working.hidden = job === undefined;
    if (!job) return;
    const loading = job.kind === "propagate" && model && model.state !== "ready";
    this.title.textContent = job.state === "waiting" ? "Waiting for another job" : loading && !job.done ? "Loading the network" : (TITLES[job.kind] ?? job.kind);
    if (job.total && job.done) this.progress.value = job.done / job.total;
    else this.progress.removeAttribute("value");
    this.figures.textContent = figures(job);
    this.follow.hidden = job.kind !== "propagate" || this.session.following;
  }
}

/** Progress in words. @param {Job} job */
function figures(job) {
  const parts = job.total ? [`${job.done} of ${job.total}`] : [];
  if (job.fps) parts.push(`${job.fps >= 10 ? Math.round(job.fps) : job.fps.toFixed(1)} frames/s`);
  if (job.left_s !== null && job.left_s !== undefined) parts.push(`${clock(job.left_s)} left`);
  return parts.join(" · ");
}
