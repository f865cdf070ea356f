// @ts-check
/** Compression of masks in a worker. */

// started with the page, since its file can't be loaded once the connection is lost
const worker = new Worker(new URL("./gzip_worker.js", import.meta.url), { type: "module" });
worker.onmessage = (/** @type {MessageEvent} */ event) => {
  waiting.get(event.data.number)?.(event.data.bytes);
  waiting.delete(event.data.number);
};
/** @type {Map<number, (bytes: ArrayBuffer) => void>} */
const waiting = new Map();
let count = 0;

/**
 * Compress a buffer, which is transferred to the worker. @param {ArrayBuffer} buffer @returns {Promise<ArrayBuffer>}
 */
export function gzip(buffer) {
  const number = count++;
  return new Promise((resolve) => {
    waiting.set(number, resolve);
    worker.postMessage({ number, buffer }, [buffer]);
  });
}
