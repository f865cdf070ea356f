// @ts-check
/** Page setup: builds the parts of the page and connects them. */

import { Network } from "./core/network.js";
import { Session } from "./core/session.js";
import { Store } from "./core/store.js";
import { showHelp } from "./dialogs/help.js";
import { commonActions } from "./panels/actions.js";
import { el, icon } from "./panels/dom.js";
import { listenToKeys } from "./panels/keys.js";
import { Messages } from "./panels/messages.js";
import { ObjectPanel } from "./panels/objects.js";
import { Player, Transport } from "./panels/playback.js";
import { PropagationPanel } from "./panels/propagation.js";
import { Timeline } from "./panels/timeline.js";
import { ToolBar } from "./panels/toolbar.js";
import { TopBar } from "./panels/topbar.js";
import { Welcome } from "./panels/welcome.js";
import { Toolbox } from "./tools/toolbox.js";
import { Stage } from "./view/stage.js";

/** @param {string} id @returns {HTMLElement} */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const store = new Store();
const messages = new Messages(part("messages"));
const network = new Network();
const session = new Session(store, network, (text, kind) => messages.say(text, kind));
const stage = new Stage(part("stage"), store);
const toolbox = new Toolbox(session, stage);
const player = new Player(session);
const welcome = new Welcome(part("welcome"), open);
const topbar = new TopBar(part("topbar"), session, stage, { open: pick, download, help: () => showHelp(actions), setRate });
const objects = new ObjectPanel(part("objects"), session);
const propagation = new PropagationPanel(part("propagation"), session);
const toolbar = new ToolBar(part("tools"), part("options"), session, toolbox);

/** @type {import("./panels/actions.js").Actions} */
const actions = {
  ...commonActions({ session, stage, player, toolbox, toolbar, view: topbar.view, objects }),
  newObject: () => session.addObject(),
  keep: () => session.editor.mask && session.saver.add(store.frame, session.editor.mask, null, "keep"),
  forward: () => session.propagate(),
  download: () => download(),
  open: () => pick(),
  help: () => showHelp(actions),
};

new Transport(part("transport"), session, player, /** @type {any} */ (actions));
new Timeline(part("timeline"), session);
listenToKeys(actions, toolbox);

/** Ask before masks are lost; true: continue. */
function mayLeave() {
  return !session.saver.changed || window.confirm("Your masks of this clip aren't downloaded and would be lost.");
}

/** Open the user's files. @param {File[]} files */
async function open(files) {
  try {
    if (mayLeave()) await session.open(files);
  } catch (error) {
    if (!store.clip) throw error; // the start page shows it
    messages.say(error instanceof Error ? error.message : String(error), "error");
  }
}

function pick() {
  welcome.video.click();
}

/** Reopen the video at another frame rate. @param {number} rate */
async function setRate(rate) {
  const fits = rate > 0 && rate <= 240;
  if (!fits) messages.say("The rate must be from 0.1 to 240 frames a second.", "error");
  try {
    if (fits && mayLeave()) return await session.open(session.files, rate);
  } catch (error) {
    messages.say(error instanceof Error ? error.message : String(error), "error");
  }
  topbar.render();
}

async function download() {
  if (!store.clip?.masked.length) return messages.say("There is no mask yet.", "error");
  try {
    const address = URL.createObjectURL(await session.archive());
    el("a", { href: address, download: `${store.clip.name.replace(/\.[^.]+$/, "")}_masks.zip` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  } catch (error) {
    messages.say(`The masks can't be packed: ${error instanceof Error ? error.message : error}`, "error");
  }
}

// -- main view ----------------------------------------------------------------------------------------------------------

session.editor.onPixels = (/** @type {import("./core/types.js").Rect|null} */ rect) => stage.changed(rect);
session.navigator.onShow = (/** @type {import("./core/frames.js").Loaded} */ { picture, mask }) => stage.show(picture, mask.ids);
stage.onMove = () => {
  topbar.view.showZoom();
  toolbox.showRing();
};
store.on(["objects", "view", "clip"], () => stage.recolor());
store.on("clip", () => {
  document.body.classList.remove("empty");
  part("welcome").hidden = true;
  stage.fitted = true;
  stage.width = 0; // the first frame is fitted
});
part("panel-toggle").append(icon("layers"), "Objects");
part("panel-toggle").addEventListener("click", () => document.body.classList.toggle("panel-open"));
window.addEventListener("beforeunload", (event) => {
  session.editor.flush();
  if (session.saver.changed) event.preventDefault();
});

// -- network ------------------------------------------------------------------------------------------------------------

network.onProgress = (/** @type {number} */ loaded) => propagation.load(loaded);

async function startNetwork() {
  try {
    await network.open(new URLSearchParams(location.search).get("backend") ?? "auto");
    const { license } = /** @type {import("./segmenter/graphs.js").Manifest} */ (network.manifest);
    welcome.license.textContent = `License of the weights: ${license}.`;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    propagation.failed(text);
    welcome.say(text, true);
  }
  store.emit("project");
}

startNetwork();

/** Access to the page's parts, for browser tests. */
Object.assign(window, { voskit: { store, session, stage, network } });
