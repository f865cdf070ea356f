// @ts-check
/** Page setup: builds the parts of the page and connects them. */

import { ApiError, ConnectionLost, inClip, json, uploads } from "./core/api.js";
import { Session } from "./core/session.js";
import { Store } from "./core/store.js";
import { Dialogs } from "./dialogs/dialogs.js";
import { download } from "./dialogs/files.js";
import { showHelp } from "./dialogs/help.js";
import { commonActions } from "./panels/actions.js";
import { Banner } from "./panels/banner.js";
import { el, icon } from "./panels/dom.js";
import { listenToKeys } from "./panels/keys.js";
import { Messages } from "./panels/messages.js";
import { ObjectPanel } from "./panels/objects.js";
import { Player, Transport } from "./panels/playback.js";
import { PropagationPanel } from "./panels/propagation.js";
import { Timeline } from "./panels/timeline.js";
import { ToolBar } from "./panels/toolbar.js";
import { TopBar } from "./panels/topbar.js";
import { Toolbox } from "./tools/toolbox.js";
import { Stage } from "./view/stage.js";

/** @param {string} id @returns {HTMLElement} */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const VIEW_MS = 400;

const store = new Store();
const messages = new Messages(part("messages"));
const session = new Session(store, (text, kind) => messages.say(text, kind));
const stage = new Stage(part("stage"), store);
const toolbox = new Toolbox(session, stage);
const dialogs = new Dialogs(session);
const player = new Player(session);
const topbar = new TopBar(part("topbar"), session, stage, dialogs, () => showHelp(actions), () => actions.undo(""));
const objects = new ObjectPanel(part("objects"), session, dialogs);
const propagation = new PropagationPanel(part("propagation"), session);
const toolbar = new ToolBar(part("tools"), part("options"), session, toolbox);
new Banner(part("banner"), session);

/** @type {import("./panels/actions.js").Actions} */
const actions = {
  ...commonActions({ session, stage, player, toolbox, toolbar, view: topbar.view, objects }),
  newObject: () => objects.add(),
  lock: () => objects.toggleLocked(/** @type {any} */ (store.objectOf(store.object))),
  forward: () => propagation.start(1),
  backward: () => propagation.start(-1),
  both: () => propagation.startBoth(),
  correct: () => session.correctNext(),
  peek: () => peek(),
  opaque: () => setOpacity(store.opacity + 0.1),
  clearer: () => setOpacity(store.opacity - 0.1),
  save: () => session.editor.flush(),
  open: () => dialogs.open(),
  export: () => dialogs.exportMasks(),
  help: () => showHelp(actions),
};

new Transport(part("transport"), session, player, /** @type {any} */ (actions));
new Timeline(part("timeline"), session);
listenToKeys(actions, toolbox);

/** @type {import("./core/store.js").Mode} */
let before = "overlay";
function peek() {
  if (store.mode !== "original") before = store.mode;
  topbar.view.setMode(store.mode === "original" ? before : "original");
}

/** @param {number} value */
function setOpacity(value) {
  store.opacity = Math.min(1, Math.max(0, Math.round(value * 20) / 20));
  store.emit("view");
}

// -- main view ----------------------------------------------------------------------------------------------------------

session.editor.onPixels = (/** @type {import("./core/types.js").Rect|null} */ rect) => stage.changed(rect);
session.onResult = (/** @type {import("./core/types.js").Job} */ job) => {
  if (job.file !== false) download(job);
};
session.navigator.onShow = (/** @type {import("./core/frames.js").Loaded} */ { picture, mask }) => {
  stage.show(picture, mask.ids);
  part("damaged").hidden = picture !== null;
};
store.on(["objects", "view", "clip"], () => stage.recolor());
store.on("clip", () => {
  if (!store.clip) stage.clear();
  const { zoom, x, y } = store.clip?.view ?? {};
  if (typeof zoom === "number" && typeof x === "number" && typeof y === "number") stage.place(zoom, x, y);
  else stage.fitted = true;
  stage.width = 0; // the first frame is fitted unless a view is stored
});
store.on(["project", "clip"], () => renderWelcome());
part("panel-toggle").append(icon("layers"), "Objects");
part("panel-toggle").addEventListener("click", () => document.body.classList.toggle("panel-open"));

/** The start page: shown without a clip, or while one is being opened. */
function renderWelcome() {
  const welcome = part("welcome");
  const { opening, clip, project } = store;
  welcome.hidden = clip !== null && opening === null;
  document.body.classList.toggle("empty", clip === null);
  if (welcome.hidden) return welcome.replaceChildren();
  if (opening) {
    const summary = project?.clips.find((c) => c.id === opening.id) ?? opening;
    const failed = summary.state === "failed";
    const text = failed ? (summary.error ?? "It can't be opened.") : "The video is read once, so that every frame is found exactly later.";
    const progress = el("progress", { max: 1, value: summary.done ?? 0, hidden: failed });
    const again = el("button", { type: "button", class: "primary", onclick: () => session.attempt(() => session.retry(summary.id)) }, "Try again");
    return welcome.replaceChildren(el("h1", {}, `${failed ? "Couldn't open" : "Opening"} ${summary.name}`), progress, el("p", { class: failed ? "error" : "hint" }, text), ...(failed ? [again, dialogs.clips.opener()] : []));
  }
  if (!project || welcome.childElementCount) return;
  const text = "Paint objects in one frame, let the network carry them through the clip, correct it where it is unsure.";
  welcome.replaceChildren(el("h1", {}, "Open a video"), el("p", { class: "hint" }, text), dialogs.clips.opener());
}

// -- stored view --------------------------------------------------------------------------------------------------------

let viewTimer = 0;
stage.onMove = () => {
  topbar.view.showZoom();
  toolbox.showRing();
  rememberView();
};
store.on(["frame", "objects", "marks", "view"], rememberView);

function viewOf() {
  const [x, y] = stage.center;
  const place = stage.fitted ? { zoom: null } : { zoom: stage.zoom, x, y };
  return { frame: store.frame, object: store.object, in: store.markIn, out: store.markOut, mode: store.mode, opacity: store.opacity, ...place };
}

function rememberView() {
  window.clearTimeout(viewTimer);
  const id = store.clip?.id;
  if (!id) return;
  viewTimer = window.setTimeout(() => {
    if (store.clip?.id === id) storeView();
  }, VIEW_MS);
}

session.onLeave = () => storeView();

/** The last request that stores a view; the next one waits for its response. @type {Promise<void>} */
let stored = Promise.resolve();

/** @param {boolean} [leaving] */
async function storeView(leaving = false) {
  if (!store.clip) return;
  const path = inClip(store.clip.id, "view");
  const view = viewOf();
  if (leaving) {
    const headers = { "Content-Type": "application/json" };
    fetch(`api/${path}`, { method: "PUT", body: JSON.stringify(view), keepalive: true, headers });
    return;
  }
  await (stored = stored.then(() => putView(path, view)));
}

/** @param {string} path @param {object} view */
async function putView(path, view) {
  try {
    await json(path, "PUT", view);
  } catch (error) {
    const passing = error instanceof ConnectionLost || (error instanceof ApiError && [404, 409].includes(error.status));
    if (!passing) messages.say(error instanceof Error ? error.message : String(error), "error");
  }
}

window.addEventListener("pagehide", () => storeView(true));
window.addEventListener("beforeunload", (event) => {
  session.editor.flush();
  if (!session.saver.clean || uploads()) event.preventDefault();
});
document.addEventListener("visibilitychange", () => document.hidden && session.editor.flush());

session.attempt(() => session.start());

/** Access to the page's parts, for browser tests. */
Object.assign(window, { voskit: { store, session, stage, toolbox, player, editorFrame: () => session.editor.frame } });
