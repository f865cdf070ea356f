// @ts-check
/** The page's interface to the segmenter's worker. */

/** @typedef {import("../segmenter/graphs.js").Manifest} Manifest */
/** @typedef {import("../segmenter/graphs.js").Backend} Backend */

const NO_MEMORY = /out of memory|allocation|bad_alloc|OOM|buffer allocation failed/i;

export class Network {
  constructor() {
    this.worker = new Worker(new URL("../worker.js", import.meta.url), { type: "module" });
    /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
    this.waiting = new Map();
    this.number = 0;
    /** @type {Manifest|null} */
    this.manifest = null;
    /** @type {Backend|null} */
    this.backend = null;
    /** @type {(part: number) => void} */
    this.onProgress = () => {};
    this.worker.addEventListener("message", ({ data }) => this.answer(data));
    this.worker.addEventListener("error", (event) => this.fail(event.message || "its code can't be loaded"));
  }

  /** Load the graphs. @param {string} backend */
  async open(backend) {
    const { manifest, backend: used } = await this.call("open", { backend });
    this.manifest = manifest;
    this.backend = used;
  }

  reset() {
    return this.call("reset", {});
  }

  /** Segment the next frame. @param {ImageData} frame @param {Uint16Array|null} mask of all objects @returns {Promise<Uint8Array|Uint16Array>} */
  step({ data, width, height }, mask) {
    return this.call("step", { frame: { data, width, height }, mask, complete: true }, [data.buffer]);
  }

  /** @param {string} call @param {object} body @param {Transferable[]} [transfer] @returns {Promise<any>} */
  call(call, body, transfer = []) {
    return new Promise((resolve, reject) => {
      this.waiting.set(++this.number, { resolve, reject });
      this.worker.postMessage({ number: this.number, call, body }, transfer);
    });
  }

  /** @param {any} data */
  answer({ number, result, error, loaded, total }) {
    if (number === undefined) return this.onProgress(loaded / total);
    const waiting = this.waiting.get(number);
    this.waiting.delete(number);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(NO_MEMORY.test(error) ? `Out of memory: close other tabs, or export with a smaller --size. (${error})` : error));
  }

  /** @param {string} text */
  fail(text) {
    for (const { reject } of this.waiting.values()) reject(new Error(`The network's worker failed: ${text}`));
    this.waiting.clear();
  }
}
