// @ts-check
/** The open clip: opening, events of the server, undo, jobs, conflicts. */

import * as api from "./api.js";
import { Editor } from "./editor.js";
import { listen } from "./events.js";
import { Frames, revisionOf } from "./frames.js";
import { Navigator } from "./navigator.js";
import { Saver } from "./saver.js";
import { ACTIVE, MODES } from "./store.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types.js").Clip} Clip */
/** @typedef {import("./types.js").Job} Job */
/** @typedef {import("./types.js").SavedView} SavedView */

const LOST = "No connection to the server. Your work is kept here and saved when it is back.";
const OPENING_MS = 1000;
const QUALITY_MS = 700;
const QUALITY_RUNNING_MS = 3000; // events extend the curves in the meantime
const READ_MS = 1000;
const MOST_TOLD = 50; // failures; the server remembers no more

export class Session {
  /** @param {Store} store @param {(text: string, kind?: "info"|"error") => void} say */
  constructor(store, say) {
    this.store = store;
    this.say = say;
    this.saver = new Saver(store);
    this.editor = new Editor(store, this.saver);
    this.navigator = new Navigator(store, this.editor);
    /** @type {Frames|null} */
    this.frames = null;
    /** The main view shows each frame that a propagation finishes. */
    this.following = false;
    /** Frames whose masks the clip's latest event lists. @type {number[]} */
    this.written = [];
    /** Frame to show after the last of these propagations; null: the one that it ended at. @type {number|null} */
    this.home = null;
    this.qualityTimer = 0;
    /** Number of calls that opened a clip. */
    this.opened = 0;
    /** Numbers of requests, to detect late responses. */
    this.projectsAsked = this.projectsRead = this.qualityAsked = this.losses = 0;
    /** Propagations whose start has no response yet, and whether the user has stopped them. */
    this.starting = 0;
    this.unwanted = false;
    /** Number of requests for a clip's state that have no response yet. */
    this.asked = 0;
    /** Events that arrived in the meantime. @type {(() => void)[]} */
    this.held = [];
    /** Called before another clip is shown. @type {() => Promise<void>} */
    this.onLeave = async () => {};
    /** Called with a finished export's or overlay's job. @type {(job: Job) => void} */
    this.onResult = () => {};
    /** Changes of objects that the server hasn't confirmed. */
    this.changing = 0;
    /** The last request that changes the clip. @type {Promise<unknown>} */
    this.changed = Promise.resolve();
    /** Jobs that this tab has started. @type {Set<string>} */
    this.own = new Set(JSON.parse(sessionStorage.getItem("voskit-jobs") ?? "[]"));
    this.navigator.onError = (text) => say(text, "error");
    this.saver.onRefused = (text) => say(`Not saved: ${text}`, "error");
    this.saver.onConflict = (frame) => this.conflict(frame);
    this.saver.onSaved = (frame) => this.compare(frame);
  }

  /** Load the project, open the URL's clip or else the first one, and listen for events. */
  async start() {
    await listen({
      clip: (data) => this.clipChanged(data),
      job: (data) => this.jobChanged(data),
      project: () => this.attempt(() => this.readProject()),
      open: (again) => this.connected(again),
      lost: () => this.lost(),
      waits: () => !this.saver.clean || [...this.store.jobs.values()].some((job) => ACTIVE.includes(job.state)),
    });
    await this.begin();
  }

  /** Open the first clip, once there is a connection. */
  async begin() {
    try {
      await this.readProject();
      await this.openFirst();
    } catch (error) {
      if (!api.passes(error)) throw error;
      window.setTimeout(() => !this.store.clip && !this.store.opening && this.attempt(() => this.begin()), OPENING_MS);
    }
  }

  async openFirst() {
    const { clips = [], first: asked } = this.store.project ?? {};
    /** @param {string|null|undefined} id */
    const found = (id) => clips.find((c) => c.id === id);
    const first = found(decodeURIComponent(location.hash.slice(1))) ?? found(asked) ?? clips[0];
    if (first) await this.open(first.id);
  }

  async readProject() {
    const ticket = ++this.projectsAsked;
    const project = await api.project();
    if (ticket < this.projectsRead) return; // a later response came first
    this.projectsRead = ticket;
    this.store.project = project;
    this.store.emit("project");
  }

  /** Save all edits, including those made in the meantime. */
  async allSaved() {
    do {
      await this.editor.ended();
      this.editor.flush();
      await this.saver.settled();
    } while (this.editor.active || this.editor.unsaved || !this.saver.idle);
    if (this.saver.drafts.size) throw new Error("Decide first what to do with the strokes that aren't saved.");
  }

  /** Show a clip of the project as it was left. @param {string} id */
  async open(id) {
    const ticket = ++this.opened; // a later call opens its own clip
    if (this.store.clip?.id === id) {
      this.store.opening = null; // back from one that is being opened
      return this.store.emit("project");
    }
    await this.allSaved();
    if (this.store.clip && this.store.project?.clips.some((c) => c.id === this.store.clip?.id)) await this.onLeave();
    const request = async () => {
      const clip = await api.clip(id);
      if (ticket === this.opened) await this.allSaved(); // edits made in the meantime belong to the previous clip
      return clip;
    };
    const shown = await this.inOrder(request, (clip) => ticket === this.opened && this.show(clip));
    if (!shown) return;
    await this.navigator.reload();
    this.readQuality();
  }

  /** Retry opening a clip that couldn't be opened. @param {string} id */
  async retry(id) {
    await api.json(`clips/${encodeURIComponent(id)}/retry`, "POST");
    await this.readProject();
    await this.open(id);
  }

  /**
   * Apply a clip's state before the events that arrived during the request, since it may be older than they are.
   * @template T
   * @param {() => Promise<Clip>} request
   * @param {(clip: Clip) => T} apply
   * @returns {Promise<T>}
   */
  async inOrder(request, apply) {
    this.asked += 1;
    try {
      return apply(await request());
    } finally {
      this.asked -= 1;
      if (!this.asked) for (const event of this.held.splice(0)) event();
    }
  }

  /** Show a clip if it is ready. @param {Clip} clip @returns {boolean} */
  show(clip) {
    const { store } = this;
    store.opening = clip.state && clip.state !== "ready" ? clip : null;
    store.emit("project");
    if (clip.state === "opening") {
      // an event announces when it is ready, but some proxies buffer events
      window.setTimeout(() => store.opening?.id === clip.id && this.attempt(() => this.open(clip.id)), OPENING_MS);
    }
    if (store.opening) return false;
    store.clip = clip;
    this.editor.leave();
    this.frames = new Frames(clip);
    this.frames.pin((frame) => frame === store.frame || frame === this.navigator.wanted || this.saver.has(frame));
    this.saver.frames = this.navigator.frames = this.frames;
    this.restore(clip);
    if (clip.job) store.jobs.set(clip.job.id, clip.job);
    if (clip.problem) this.say(clip.problem, "error");
    history.replaceState(null, "", `#${encodeURIComponent(clip.id)}`);
    store.quality = null;
    store.emit("clip");
    store.emit("jobs");
    return true;
  }

  /** @param {Clip} clip */
  restore(clip) {
    const { store } = this;
    const view = clip.view ?? {};
    store.frame = this.navigator.wanted = Math.min(Math.max(view.frame ?? 0, 0), clip.frames - 1);
    store.object = clip.objects.some((o) => o.id === view.object) ? /** @type {number} */ (view.object) : (clip.objects[0]?.id ?? 1);
    store.solo = null;
    store.markIn = view.in ?? null;
    store.markOut = view.out ?? null;
    if (MODES.includes(/** @type {any} */ (view.mode))) store.mode = /** @type {any} */ (view.mode);
    if (typeof view.opacity === "number") store.opacity = view.opacity;
  }

  /** Remove a clip from the project's list; its results stay on disk. @param {string} id */
  async takeOff(id) {
    const { store } = this;
    if (store.clip?.id === id) {
      this.editor.flush();
      await this.saver.settled();
    }
    await api.json(`clips/${encodeURIComponent(id)}`, "DELETE");
    await this.readProject();
    if (store.opening?.id === id) store.opening = null;
    if (store.clip?.id !== id) return store.emit("project");
    const next = store.project?.clips.find((c) => c.state !== "failed");
    if (next) return this.open(next.id);
    store.clip = this.frames = this.navigator.frames = this.saver.frames = null;
    store.emit("clip");
  }

  /** Go to a frame at the user's request, and stop following the propagation. @param {number} frame */
  visit(frame) {
    this.store.emit("playing", "stop");
    this.unfollow();
    return this.navigator.go(frame);
  }

  /** @param {number} by */
  step(by) {
    this.store.emit("playing", "stop");
    this.unfollow();
    return this.navigator.step(by);
  }

  unfollow() {
    if (!this.following) return;
    this.following = false;
    this.store.emit("jobs");
  }

  // -- events ---------------------------------------------------------------------------------------------------------

  /** @param {any} data */
  clipChanged(data) {
    if (this.asked) return void this.held.push(() => this.clipChanged(data));
    const { clip, opening } = this.store;
    if (data.state && data.state !== "opening" && (data.clip === opening?.id || !clip)) this.attempt(() => this.open(data.clip));
    if (data.state) this.attempt(() => this.readProject());
    if (data.state === "ready" && data.clip === clip?.id) this.connected(true);
    if (!clip || data.clip !== clip.id) return;
    for (const key of /** @type {const} */ (["given", "masked", "undo", "redo", "damaged", "cuts"])) {
      if (data[key] !== undefined) /** @type {any} */ (clip)[key] = data[key];
    }
    const objects = data.objects && !this.changing && data.changes >= clip.changes;
    if (objects) Object.assign(clip, { objects: data.objects, changes: data.changes });
    Object.assign(clip.revisions, data.revisions ?? {});
    const changed = Object.keys(data.revisions ?? {}).map(Number);
    for (const frame of changed) this.compare(frame);
    if (changed.length) this.written = changed;
    this.follow();
    this.store.emit("info");
    if (data.quality) this.addQuality(data.quality);
    if (objects) {
      this.chooseExisting();
      this.store.emit("objects");
    }
    this.readQuality();
  }

  /** Deselect an object that no longer exists. */
  chooseExisting() {
    const { store } = this;
    if (!store.objectOf(store.object)) store.object = store.objects[0].id;
    if (store.solo === null || store.objectOf(store.solo)) return;
    store.solo = null;
    store.emit("view");
  }

  /** Show the frame that a propagation wrote last; its event may come before or after the job's. */
  follow() {
    const { written } = this;
    const job = this.store.running;
    const at = job?.frame;
    if (!this.following || job?.kind !== "propagate" || typeof at !== "number" || !written.length || this.editor.active) return;
    this.navigator.go(written.reduce((best, frame) => (Math.abs(frame - at) < Math.abs(best - at) ? frame : best)));
  }

  /** Extend the curves by frames that were just propagated. @param {Record<string, Record<string, number>>} frames */
  addQuality(frames) {
    const { clip, quality } = this.store;
    if (!clip || !quality) return; // all of it is loaded soon
    for (const [frame, values] of Object.entries(frames)) {
      for (const [id, value] of Object.entries(values)) {
        quality.objects[id] ??= new Array(clip.frames).fill(null);
        quality.objects[id][Number(frame)] = value;
      }
    }
    this.store.emit("quality");
  }

  /** Reload a frame's mask if the server has a different revision. @param {number} frame @param {number|string} [revision] */
  compare(frame, revision = this.store.clip?.revisions[String(frame)]) {
    const mask = this.frames?.masks.values.get(frame);
    if (revision === undefined || this.saver.has(frame)) return;
    if (mask && revisionOf(mask.tag) === revisionOf(revision)) return;
    if (frame === this.editor.frame && this.editor.unsaved) return; // saving it will be rejected: a draft
    this.frames?.masks.drop(frame);
    if ([this.store.frame, this.navigator.wanted, this.navigator.loading].includes(frame)) this.navigator.reload();
  }

  /** @param {Job} job */
  jobChanged(job) {
    if (this.asked) return void this.held.push(() => this.jobChanged(job));
    const before = this.store.jobs.get(job.id);
    this.store.jobs.set(job.id, job);
    this.store.emit("jobs");
    const here = job.clip === this.store.clip?.id;
    if (here && job.kind === "propagate") this.readQuality();
    this.follow();
    if (ACTIVE.includes(job.state) || before?.state === job.state) return;
    window.clearTimeout(this.qualityTimer); // no event follows: the whole curves now
    this.qualityTimer = 0;
    this.readQuality();
    const end = this.store.running ? job.frame : (this.home ?? job.frame);
    if (here && this.following && job.kind === "propagate" && end !== null) this.navigator.go(end);
    if (here && !this.store.running) this.following = false;
    if (!here && !this.own.has(job.id)) return;
    if (job.state === "failed") this.tellFailure(job);
    if (job.state === "done" && job.kind !== "propagate" && this.own.has(job.id)) this.deliver(job);
  }

  /** Show why a job failed, unless the user has read that before a reload. @param {Job} job */
  tellFailure(job) {
    const told = () => JSON.parse(localStorage.getItem("voskit-told") ?? "[]");
    if (told().includes(job.id)) return;
    this.say(job.error ?? "The job failed.", "error");
    // not at once: the page may be about to close
    window.setTimeout(() => localStorage.setItem("voskit-told", JSON.stringify([...told(), job.id].slice(-MOST_TOLD))), READ_MS);
  }

  /** Deliver a result, once. @param {Job} job */
  deliver(job) {
    this.own.delete(job.id);
    sessionStorage.setItem("voskit-jobs", JSON.stringify([...this.own]));
    this.onResult(job);
  }

  /** Show why no events arrive: no connection, or a server with a different token. */
  async lost() {
    const ticket = ++this.losses;
    try {
      await api.project();
    } catch (error) {
      if (ticket !== this.losses) return; // it is back
      this.saver.trouble(error instanceof api.ApiError ? error.message : LOST);
    }
  }

  /** @param {boolean} again */
  async connected(again) {
    this.losses += 1;
    this.saver.trouble(null);
    this.saver.wake?.();
    if (this.asked) return void this.held.push(() => this.connected(again)); // the response may be older
    const { id } = this.store.opening ?? this.store.clip ?? {};
    if (!again || !id) return;
    if (this.store.opening) return void this.attempt(() => this.open(id));
    try {
      await this.readProject();
      await this.inOrder(() => api.clip(id), (fresh) => this.refresh(fresh));
    } catch (error) {
      this.saver.trouble(error instanceof Error ? error.message : String(error));
    }
  }

  /** Update the shown clip after missed events. @param {Clip} fresh */
  refresh(fresh) {
    const { clip, jobs } = this.store;
    if (clip?.id !== fresh.id) return; // another clip was opened in the meantime
    if (fresh.state && fresh.state !== "ready") return; // a restarted server opens it; an event announces when it is ready
    for (const [id, job] of jobs) if (ACTIVE.includes(job.state)) jobs.delete(id);
    if (fresh.job) jobs.set(fresh.job.id, fresh.job);
    this.forgetStale(fresh);
    Object.assign(clip, { ...fresh, view: clip.view });
    this.chooseExisting();
    for (const topic of /** @type {const} */ (["info", "objects", "jobs"])) this.store.emit(topic);
    this.readQuality();
  }

  /** Drop every mask that is outdated, or may be when it arrives. @param {Clip} fresh */
  forgetStale(fresh) {
    const { values, coming } = this.frames?.masks ?? {};
    for (const frame of new Set([...(values?.keys() ?? []), ...(coming?.keys() ?? [])])) this.compare(frame, fresh.revisions[String(frame)] ?? 0);
  }

  /** @param {number} frame */
  conflict(frame) {
    this.frames?.masks.drop(frame);
    if (frame === this.store.frame) this.navigator.reload();
    this.store.emit("connection");
  }

  /** Repeat rejected edits on the current masks. */
  async reapplyDrafts() {
    for (const [frame, deltas] of [...this.saver.drafts]) {
      await this.visit(frame);
      await this.navigator.running;
      if (this.store.frame !== frame) return;
      this.saver.drafts.delete(frame);
      this.editor.reapply(deltas);
      this.editor.flush();
    }
    this.saver.mark();
    this.store.emit("connection");
  }

  discardDrafts() {
    this.saver.drafts.clear();
    this.saver.mark();
    this.store.emit("connection");
  }

  // -- actions --------------------------------------------------------------------------------------------------------

  /** Run an action; show why if it fails. @param {() => Promise<unknown>} action */
  async attempt(action) {
    try {
      return await action();
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error), "error");
      return undefined;
    }
  }

  /** Save everything, and wait for all changes so far, but not for later ones. */
  ready() {
    this.editor.flush();
    return Promise.all([this.saver.settled(), this.changed]);
  }

  /**
   * Change the clip after all earlier changes by the user and before all later ones.
   * @template T
   * @param {() => Promise<T>} change @returns {Promise<T>}
   */
  inTurn(change) {
    const done = this.ready().then(change);
    this.changed = done.catch(() => {});
    return done;
  }

  /** Send a request about the clip, in order. @param {string} method @param {string} rest @param {unknown} [body] */
  async send(method, rest, body) {
    const { clip } = this.store;
    if (!clip) throw new Error("No clip is open.");
    return this.inTurn(() => api.json(api.inClip(clip.id, rest), method, body));
  }

  /** @param {"undo"|"redo"} which */
  async history(which) {
    if (this.editor.active) return this.editor.cancel();
    const { clip } = this.store;
    await this.attempt(async () => {
      const request = this.send("POST", which);
      this.saver.undoing = request.catch(() => {});
      const done = await request.catch((error) => {
        if (!(error instanceof api.ApiError) || error.status !== 409) throw error;
        this.say(error.message); // there is nothing to undo, or the clip is being opened
      });
      if (!done || this.store.clip !== clip) return;
      for (const frame of done.frames) this.compare(frame); // not dropped: the event may have been first
      const here = this.navigator.wanted;
      const nearest = done.frames.reduce(
        (/** @type {number|null} */ best, /** @type {number} */ f) => (best === null || Math.abs(f - here) < Math.abs(best - here) ? f : best),
        null,
      );
      if (nearest === here) await this.navigator.reload();
      else if (nearest !== null) await this.visit(nearest);
      this.say(`${which === "undo" ? "Undone" : "Redone"}: ${done.text}`);
    });
  }

  /**
   * Start a propagation; return true if it was started.
   * @param {number} first @param {number} last @param {number[]|null} objects @param {boolean} fuse
   * @param {number|null} home frame to show afterwards
   */
  async propagate(first, last, objects, fuse = false, home = null) {
    if (first === last) {
      this.say("The range ends at this frame: there is nothing to propagate to.");
      return false;
    }
    this.following = true; // before the request: its first events may come before its response
    this.written = [];
    this.home = home;
    this.store.emit("playing", "stop");
    this.starting += 1;
    this.unwanted = false;
    const sent = this.send("POST", "jobs", { kind: "propagate", first, last, objects, fuse });
    const job = /** @type {Job|undefined} */ (await this.attempt(() => sent));
    this.starting -= 1;
    if (job && this.unwanted) {
      await this.attempt(() => api.json(`jobs/${job.id}`, "DELETE"));
      return false;
    }
    if (job) this.remember(job);
    else this.following = false;
    this.store.emit("jobs");
    return job !== undefined;
  }

  /** @param {Record<string, unknown>} job */
  async startJob(job) {
    await this.attempt(async () => this.remember(await this.send("POST", "jobs", job)));
  }

  /** Remember a job as this tab's, even after a reload. @param {Job} job from the response to its start */
  remember(job) {
    this.own.add(job.id);
    sessionStorage.setItem("voskit-jobs", JSON.stringify([...this.own]));
    const known = this.store.jobs.get(job.id);
    if (known?.state === "done" && known.kind !== "propagate") this.deliver(known); // it ended before its response came
    this.showStarted(job);
  }

  /** Show a started job before its first event comes. @param {Job} job */
  showStarted(job) {
    if (this.asked) this.held.push(() => this.showStarted(job));
    else if (!this.store.jobs.has(job.id)) this.jobChanged(job);
  }

  async stop() {
    const job = this.store.running;
    if (this.starting) this.unwanted = true;
    if (job) await this.attempt(() => api.json(`jobs/${job.id}`, "DELETE"));
  }

  readQuality() {
    if (this.qualityTimer) return;
    this.qualityTimer = window.setTimeout(async () => {
      this.qualityTimer = 0;
      const id = this.store.clip?.id;
      if (!id) return;
      const ticket = ++this.qualityAsked;
      const quality = await api.quality(id).catch(() => null); // the curve stays as it was until the next event
      if (!quality || this.store.clip?.id !== id || ticket !== this.qualityAsked) return;
      this.store.quality = quality;
      this.store.emit("quality");
    }, this.store.quality && this.store.running ? QUALITY_RUNNING_MS : QUALITY_MS);
  }

  /** Go to the frame around which the network is least confident. */
  async correctNext() {
    const { clip } = this.store;
    const quality = /** @type {import("./types.js").Quality|undefined} */ (await this.attempt(() => this.send("GET", "quality")));
    if (!quality || this.store.clip !== clip) return;
    this.store.quality = quality;
    this.store.emit("quality");
    const { next } = quality;
    if (!next) return this.say("No frame needs a look: propagate first, or all unsure frames are corrected.");
    if (next.object !== null) this.selectObject(next.object);
    await this.visit(next.frame);
    const name = next.object === null ? "" : `${this.store.nameOf(next.object)}, `;
    this.say(`Frame ${next.frame}: ${name}confidence ${next.confidence.toFixed(2)}`);
  }

  /**
   * Change an object: immediately here, on the server after earlier changes.
   * @param {number} id @param {Partial<import("./types.js").ObjectInfo>} fields
   */
  async changeObject(id, fields) {
    const { clip } = this.store;
    if (!clip) return;
    Object.assign(clip.objects.find((o) => o.id === id) ?? {}, fields);
    this.store.emit("objects");
    this.changing += 1;
    await this.attempt(async () => {
      const { changes } = await this.send("PUT", `objects/${id}`, fields);
      clip.changes = Math.max(clip.changes, changes); // older events would undo it here
    });
    this.changing -= 1;
    await this.attempt(() => this.readObjects());
  }

  /** Load the list of objects. Older events no longer change it. */
  async readObjects() {
    const { clip } = this.store;
    if (!clip || this.changing) return;
    const { objects, changes } = await api.clip(clip.id);
    if (this.changing || clip.changes > changes) return;
    Object.assign(clip, { objects, changes });
    this.chooseExisting();
    this.store.emit("objects");
  }

  /** @param {number} id */
  selectObject(id) {
    if (!this.store.objectOf(id)) return;
    this.store.object = id;
    this.store.emit("objects");
  }
}
