// @ts-check
/** Playback with masks, and the row of transport buttons. */

import { el, exactClock, icon, iconButton, setIcon } from "./dom.js";

/** @typedef {import("../core/session.js").Session} Session */

const LATE_S = 0.25;
const AHEAD = 16;

/** Player of a clip at its frame rate; frames that load too late are dropped. */
export class Player {
  /** @param {Session} session */
  constructor(session) {
    this.session = session;
    this.store = session.store;
    this.speed = 1;
    /** Clock time and clip time at which playback began. */
    this.zero = { clock: 0, time: 0 };
    this.run = 0;
    this.store.on("playing", (detail) => detail === "stop" && this.stop());
    this.store.on("clip", () => this.stop());
  }

  /** Time of a frame; without times, 25 frames per second. @param {number} frame */
  time(frame) {
    return this.store.clip?.times[frame] ?? frame / 25;
  }

  toggle() {
    if (this.store.playing) this.stop();
    else this.play();
  }

  play() {
    const { store } = this;
    if (!store.clip) return;
    const [first, last] = store.range;
    const start = store.frame >= last || store.frame < first ? first : store.frame;
    this.session.unfollow();
    store.playing = true;
    store.emit("playing");
    this.begin(start);
    this.loop(++this.run, start);
  }

  /** @param {number} frame */
  begin(frame) {
    this.zero = { clock: performance.now() / 1000, time: this.time(frame) };
  }

  stop() {
    if (!this.store.playing) return;
    this.run++;
    this.store.playing = false;
    this.store.emit("playing");
  }

  /** @param {number} run @param {number} frame to show next */
  async loop(run, frame) {
    const { session, store } = this;
    while (run === this.run && session.frames) {
      const [first, last] = store.range;
      session.frames.prefetch(Array.from({ length: AHEAD }, (_, i) => frame + i).filter((f) => f <= last));
      await session.navigator.go(frame);
      if (run !== this.run) return;
      if (frame >= last) {
        await this.wait(run, frame + 1);
        if (run !== this.run) return;
        frame = first;
        this.begin(frame);
        continue;
      }
      const now = this.now();
      if (now - this.time(frame + 1) > LATE_S) frame = this.catchUp(frame + 1, last, now);
      else {
        await this.wait(run, frame + 1);
        frame += 1;
      }
    }
  }

  /** The frame to show now after a delay. @param {number} frame @param {number} last @param {number} now */
  catchUp(frame, last, now) {
    let next = frame;
    while (next < last && this.time(next + 1) <= now) next++;
    this.begin(next);
    return next;
  }

  now() {
    return this.zero.time + (performance.now() / 1000 - this.zero.clock) * this.speed;
  }

  /** Wait until it is a frame's time. @param {number} run @param {number} frame */
  async wait(run, frame) {
    const end = frame < (this.store.clip?.frames ?? 0) ? this.time(frame) : this.time(frame - 1) + 0.04;
    while (run === this.run && this.now() < end) await new Promise(requestAnimationFrame);
  }

  /** @param {number} speed */
  setSpeed(speed) {
    this.zero = { clock: performance.now() / 1000, time: this.now() };
    this.speed = speed;
  }
}

/** The row above the timeline. */
export class Transport {
  /** @param {HTMLElement} root @param {Session} session @param {Player} player @param {Record<string, () => void>} actions */
  constructor(root, session, player, actions) {
    this.session = session;
    this.store = session.store;
    this.play = iconButton("play", "Play", () => player.toggle(), "Space", "play");
    this.number = el("input", { class: "frame-number", type: "number", min: "0", title: "Frame", "aria-label": "Frame" });
    this.number.addEventListener("change", () => {
      if (Number.isNaN(this.number.valueAsNumber)) this.number.value = String(this.store.frame);
      else session.visit(this.number.valueAsNumber);
      this.number.value = String(session.navigator.wanted);
    });
    this.number.addEventListener("keydown", (event) => event.key === "Enter" && this.number.blur());
    this.total = el("span", { class: "total" });
    this.state = el("span", { class: "frame-state" });
    const speed = el("select", { class: "speed", title: "Speed", "aria-label": "Speed" }, ...[0.25, 0.5, 1, 2, 4].map((s) => el("option", { value: String(s), selected: s === 1 }, `${s}×`)));
    speed.addEventListener("change", () => {
      player.setSpeed(Number(speed.value));
      speed.blur(); // so that keys act on the page again
    });
    this.keep = iconButton("keep", "Keep this mask as given", actions.keep, "K");
    this.clear = iconButton("trash", "Remove this frame's mask", actions.clear, "Delete");
    this.next = el("button", { class: "correct-next", type: "button", title: "Go to the frame where the network is least sure (C)", onclick: () => session.correctNext() }, icon("target"), el("span", {}, "Correct next"));
    const group = (/** @type {(Node|string)[]} */ ...nodes) => el("div", { class: "group" }, ...nodes);
    root.append(
      group(
        iconButton("first", "First frame", () => session.visit(0), "Home"),
        iconButton("given", "Previous given frame", actions.givenBefore, ",", "mirrored"),
        iconButton("previous", "Previous frame", () => session.step(-1), "←"),
        this.play,
        iconButton("next", "Next frame", () => session.step(1), "→"),
        iconButton("given", "Next given frame", actions.givenAfter, "."),
        iconButton("last", "Last frame", () => session.visit(session.navigator.last), "End"),
      ),
      group(this.number, this.total, speed),
      group(iconButton("in", "Range begins here", actions.markIn, "I"), iconButton("out", "Range ends here", actions.markOut, "O"), iconButton("close", "Whole clip", actions.markNone, "X", "quiet marks-off")),
      group(this.state, this.keep, this.clear),
      this.next,
    );
    this.store.on(["frame", "clip", "info"], () => this.render());
    this.store.on("playing", () => setIcon(this.play, this.store.playing ? "pause" : "play"));
    this.store.on("marks", () => root.classList.toggle("marked", this.store.markIn !== null || this.store.markOut !== null));
    this.store.on("clip", () => root.classList.toggle("marked", this.store.markIn !== null || this.store.markOut !== null));
    this.store.on(["quality", "clip"], () => this.renderNext());
  }

  render() {
    const { clip, frame } = this.store;
    if (!clip) return;
    if (document.activeElement !== this.number) this.number.value = String(frame);
    this.number.max = String(clip.frames - 1);
    this.number.style.width = `${String(clip.frames).length + 4}ch`;
    const time = clip.times[frame];
    this.total.textContent = `of ${clip.frames - 1}${time === undefined ? "" : ` · ${exactClock(time)}`}`;
    const given = clip.given.includes(frame);
    const masked = given || clip.masked.some(([a, b]) => a <= frame && frame <= b);
    const damaged = clip.damaged.includes(frame);
    this.state.textContent = damaged ? "damaged" : given ? "given" : masked ? "propagated" : "no mask";
    this.state.className = `frame-state ${damaged ? "damaged" : given ? "given" : masked ? "propagated" : ""}`;
    /** @type {HTMLButtonElement} */ (this.keep).disabled = given || !masked;
    /** @type {HTMLButtonElement} */ (this.clear).disabled = !masked;
  }

  renderNext() {
    const next = this.store.quality?.next;
    this.next.disabled = !next;
    const label = /** @type {HTMLElement} */ (this.next.lastElementChild);
    label.textContent = next ? `Correct next: ${next.frame}` : "Correct next";
  }
}
