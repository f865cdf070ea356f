// @ts-check
/** The segmenter in a worker, so that the page stays responsive: calls run in order and are answered by number. */

import { OnnxSegmenter } from "./segmenter.js";

/** @type {OnnxSegmenter|null} */
let segmenter = null;
let last = /** @type {Promise<unknown>} */ (Promise.resolve());

/** @type {Record<string, (body: any) => Promise<any>>} */
const calls = {
  async open({ backend }) {
    segmenter = await OnnxSegmenter.open(undefined, { backend, onProgress: (loaded, total) => postMessage({ loaded, total }) });
    return { manifest: segmenter.manifest, backend: segmenter.backend };
  },
  async reset() {
    segmenter?.reset();
  },
  async step({ frame, mask, complete }) {
    if (!segmenter) throw new Error("the network isn't loaded");
    return segmenter.step(frame, mask, { complete });
  },
};

addEventListener("message", ({ data: { number, call, body } }) => {
  last = last.then(async () => {
    try {
      postMessage({ number, result: await calls[call](body) });
    } catch (error) {
      postMessage({ number, error: error instanceof Error ? error.message : String(error) });
    }
  });
});
