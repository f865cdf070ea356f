// @ts-check
/** Clips of frames from files that the user opens. */

import { openImages } from "./images.js";
import { openVideo } from "./video.js";

/**
 * Frames of a clip. `names` are names of frames without extensions; `rate` is that of a video, in frames per second.
 * @typedef {{name: string, frames: number, width: number, height: number, times: number[], names: string[],
 *   rate: number|null, picture: (frame: number) => Promise<ImageBitmap>, close: () => void}} Source
 */

const IMAGES = /\.(png|jpe?g|webp|bmp|gif|avif)$/i;
const HIDDEN = /^\.|^Thumbs\.db$/i;

/**
 * Open one video, or images as frames in the order of their names.
 * @param {File[]} files @param {number|null} rate frames per second of a video; null: its own
 * @returns {Promise<Source>}
 */
export async function openFiles(files, rate = null) {
  const named = files.filter((file) => !HIDDEN.test(file.name));
  const images = named.filter((file) => file.type.startsWith("image/") || IMAGES.test(file.name));
  if (images.length) return openImages(images);
  if (named.length !== 1) throw new Error(named.length ? "Open one video, or images." : "There is no video and no image in it.");
  return openVideo(named[0], rate);
}

/** Dropped files; of folders, the files directly in them. @param {DataTransfer} transfer @returns {Promise<File[]>} */
export async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const plain = [...transfer.files];
  /** @type {File[]} */
  const found = [];
  for (const [i, entry] of entries.entries()) {
    if (entry?.isDirectory) found.push(...(await filesOf(/** @type {FileSystemDirectoryEntry} */ (entry))));
    else if (plain[i]) found.push(plain[i]);
  }
  return entries.length ? found : plain;
}

/** @param {FileSystemDirectoryEntry} folder @returns {Promise<File[]>} */
async function filesOf(folder) {
  const reader = folder.createReader();
  /** @type {FileSystemEntry[]} */
  const entries = [];
  for (;;) {
    /** Browsers return about a hundred entries at a time. @type {FileSystemEntry[]} */
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) break;
    entries.push(...part);
  }
  const files = entries.filter((entry) => entry.isFile).map((entry) => /** @type {FileSystemFileEntry} */ (entry));
  return Promise.all(files.map((entry) => new Promise((resolve, reject) => entry.file(resolve, reject))));
}
