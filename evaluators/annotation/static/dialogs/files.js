// @ts-check
/** Import of masks and export of results. */

import * as api from "../core/api.js";
import { el, icon } from "../panels/dom.js";
import { showDialog, takeDrops } from "./dialog.js";

/** @typedef {import("../core/session.js").Session} Session */
/** @typedef {import("../core/types.js").Job} Job */

/** @param {Session} session */
export function importDialog(session) {
  const { clip, frame, project } = session.store;
  if (!clip) return session.say("Open a clip first.", "error");
  const files = el("input", { type: "file", multiple: true, hidden: true });
  const number = el("input", { type: "number", min: "0", max: String(clip.frames - 1), value: String(frame), "aria-label": "Frame" });
  const progress = el("progress", { max: 1, hidden: true });
  const note = el("p", { class: "note", role: "status" });
  const choose = el("button", { type: "button", class: "primary", onclick: () => files.click() }, icon("import"), el("span", {}, "Choose files"));
  const drop = el("div", { class: "drop" }, choose, el("span", { class: "hint" }, "or drop them here"), files, progress, note);
  const forms = project?.formats.import.length ? `Forms: ${project.formats.import.join(", ")}.` : "";
  const text = el("p", {}, `Masks become given masks; one step of undo takes them back. ${forms}`);
  const dialog = showDialog("Import masks", "import-dialog", text, el("label", { class: "line" }, "A single mask belongs to frame ", number), drop);
  const send = async (/** @type {File[]} */ chosen) => {
    const form = new FormData();
    form.append("frame", number.value);
    for (const file of chosen) form.append("masks", file, file.name);
    progress.hidden = false;
    choose.disabled = true;
    note.classList.remove("error");
    note.textContent = "";
    try {
      session.editor.flush();
      await session.saver.settled();
      const answer = await api.upload(api.inClip(clip.id, "import"), form, (part) => (progress.value = part));
      dialog.close();
      const frames = /** @type {number[]|undefined} */ (answer?.frames);
      session.say(frames ? `Imported masks of ${frames.length} frame${frames.length === 1 ? "" : "s"}` : "Imported");
      if (frames?.length && !frames.includes(session.store.frame)) session.visit(frames[0]);
    } catch (error) {
      note.textContent = error instanceof Error ? error.message : String(error);
      note.classList.add("error");
    } finally {
      progress.hidden = true;
      choose.disabled = false;
    }
  };
  files.addEventListener("change", () => files.files?.length && send([...files.files]));
  takeDrops(drop, send);
}

/** @param {Session} session */
export function exportDialog(session) {
  const { clip, project } = session.store;
  if (!clip) return session.say("Open a clip first.", "error");
  const formats = project?.formats.export ?? [];
  const remembered = (localStorage.getItem("voskit-formats") ?? "").split(" ");
  const boxes = formats.map(({ name, about }, i) => {
    const box = el("input", { type: "checkbox", value: name, checked: remembered.includes(name) || (remembered[0] === "" && i === 0) });
    return { box, label: el("label", { class: "format", title: about }, box, name) };
  });
  const note = el("p", { class: "note", role: "status" });
  const go = el("button", { type: "button", class: "primary" }, icon("export"), el("span", {}, "Export as a zip"));
  const video = el("button", { type: "button" }, icon("film"), el("span", {}, "Overlay video"));
  const masked = clip.masked.reduce((sum, [a, b]) => sum + b - a + 1, 0);
  const text = el("p", {}, `${masked} of ${clip.frames} frames of ${clip.name} have masks. The file is downloaded when it is ready.`);
  const dialog = showDialog("Export", "export-dialog", text, el("div", { class: "formats" }, ...boxes.map((b) => b.label)), note, el("footer", {}, video, go));
  const check = () => (go.disabled = !boxes.some((b) => b.box.checked));
  for (const { box } of boxes) box.addEventListener("change", check);
  check();
  go.addEventListener("click", () => {
    const chosen = boxes.filter((b) => b.box.checked).map((b) => b.box.value);
    localStorage.setItem("voskit-formats", chosen.join(" "));
    dialog.close();
    session.startJob({ kind: "export", formats: chosen });
  });
  video.addEventListener("click", () => {
    dialog.close();
    session.startJob({ kind: "overlay" });
  });
}

/** Download the file of a finished job. @param {Job} job */
export function download(job) {
  const link = el("a", { href: `api/jobs/${encodeURIComponent(job.id)}/file`, download: "" });
  document.body.append(link);
  link.click();
  link.remove();
}
