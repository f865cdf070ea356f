// @ts-check
/** The panel of propagation: range, progress, and the backend that runs the network. */

import { clock, el, icon } from "./dom.js";

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../core/types.js").Job} Job */

export class PropagationPanel {
  /** @param {HTMLElement} root @param {Session} session */
  constructor(root, session) {
    this.session = session;
    this.store = session.store;
    const button = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ title, /** @type {() => void} */ onclick) =>
      el("button", { type: "button", title, onclick }, icon(name), el("span", {}, label));
    this.start = button("forward", "Propagate", "Propagate forwards from this frame (P)", () => session.propagate());
    this.start.classList.add("primary");
    this.range = el("p", { class: "hint range" });
    this.ready = el("div", { class: "ready" }, el("div", { class: "one" }, this.start), this.range);
    this.progress = el("progress", { max: 1, value: 0 });
    this.figures = el("span", { class: "figures" });
    this.follow = button("eye", "Follow", "Show each new mask in the main view", () => this.followNow());
    const stop = button("stop", "Stop", "Stop; all masks so far stay (Esc)", () => session.stop());
    stop.classList.add("stop");
    this.working = el("div", { class: "working", role: "status" }, el("div", { class: "job" }, el("strong", {}, "Propagating"), this.figures), this.progress, el("div", { class: "buttons" }, this.follow, stop));
    this.loading = el("progress", { max: 1, value: 0 });
    this.backend = el("strong", {}, "Loading the network");
    this.reason = el("span", { class: "hint" });
    root.append(el("header", {}, el("h2", {}, "Propagate")), this.ready, this.working, el("div", { class: "backend", role: "status" }, this.backend, this.loading, this.reason));
    this.store.on(["jobs", "clip", "project"], () => this.render());
    this.store.on(["frame", "marks", "info"], () => this.renderRange());
    this.render();
  }

  followNow() {
    this.session.following = true;
    const frame = this.store.running?.frame;
    if (typeof frame === "number") this.session.navigator.go(frame);
    this.store.emit("jobs");
  }

  /** Show the progress of loading the graphs. @param {number} part fraction of all bytes */
  load(part) {
    this.loading.value = part;
    if (part >= 1) this.reason.textContent = "Starting it …";
  }

  /** @param {string} text */
  failed(text) {
    this.backend.textContent = "The network can't run";
    this.backend.classList.add("error");
    this.loading.hidden = true;
    this.reason.textContent = text;
  }

  renderBackend() {
    const { backend, manifest } = this.session.network;
    if (!backend || !manifest) return;
    const { name, threads, reason } = backend;
    this.loading.hidden = true;
    this.backend.textContent = name === "webgpu" ? "Runs on WebGPU" : `Runs in WebAssembly, ${threads === 1 ? "one thread" : `${threads} threads`}`;
    const [height, width] = manifest.frame_size;
    this.reason.textContent = `${reason[0].toUpperCase()}${reason.slice(1)}. ${manifest.model}, ${width} × ${height}, up to ${manifest.objects} objects.`;
  }

  renderRange() {
    const { clip, frame } = this.store;
    if (!clip) return;
    const forth = Math.max(0, this.store.range[1] - frame);
    const masked = clip.masked.some(([a, b]) => a <= frame && frame <= b);
    this.start.disabled = !forth || !masked || !this.session.network.manifest;
    this.range.textContent = !masked ? `Paint the objects of frame ${frame} first.` : `From frame ${frame}, ${forth} forward. Given frames stay.`;
  }

  render() {
    this.renderBackend();
    this.renderRange();
    const job = this.store.running;
    this.ready.hidden = job !== undefined;
    this.working.hidden = job === undefined;
    if (!job) return;
    if (job.done) this.progress.value = job.done / job.total;
    else this.progress.removeAttribute("value");
    this.figures.textContent = figures(job);
    this.follow.hidden = this.session.following;
  }
}

/** Progress in words. @param {Job} job */
function figures(job) {
  const parts = [`${job.done} of ${job.total}`];
  if (job.fps) parts.push(`${job.fps >= 10 ? Math.round(job.fps) : job.fps.toFixed(job.fps < 1 ? 2 : 1)} frames/s`);
  if (job.left_s !== null) parts.push(`${clock(job.left_s)} left`);
  return parts.join(" · ");
}
