// @ts-check
/** Check that graphs compute the same values as at export. */

import { FrameMemory } from "./memory.js";

/** @typedef {import("./graphs.js").Graphs} Graphs */
/** @typedef {import("./graphs.js").Tensors} Tensors */

const TOLERANCE = 0.02; // of the largest value of an output; half precision needs most of it

/** Run the synthetic frame of the export; throw an error if an output differs. @param {Graphs} graphs */
export async function checkGraphs(graphs) {
  const { check, image_size, input_size, memory_frames, long_term_gap, min_memory_frames } = graphs.manifest;
  if (!check) return;
  const [height, width] = image_size;
  const [rows, columns] = input_size;
  const image = { data: Float32Array.from({ length: 3 * height * width }, (_, i) => ((i * 7919) % 1000) / 250 - 2), dims: [1, 3, height, width] };
  const labels = { data: Int32Array.from({ length: rows * columns }, (_, i) => Math.floor(i / 64) % 2), dims: [1, rows, columns] };
  const features = await graphs.run("encode", { image });
  const known = await graphs.run("refer", { labels, ...features });
  const memory = new FrameMemory(memory_frames, long_term_gap, min_memory_frames);
  memory.write(known, 0, true);
  /** @type {Tensors} */
  const inputs = { ...features };
  for (const [name, x] of Object.entries(memory.read())) inputs[name === "valid" ? name : `long_${name}`] = x;
  for (const [name, x] of Object.entries(known)) inputs[`short_${name}`] = x;
  const found = await graphs.run("propagate", inputs);
  for (const [name, expected] of Object.entries(check)) {
    const { data } = found[name];
    const step = Math.ceil(data.length / 64);
    const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const differs = expected.findIndex((value, i) => !(Math.abs(Number(data[i * step]) - value) <= TOLERANCE * scale));
    if (differs >= 0) throw new Error(`it computes ${Number(data[differs * step]).toPrecision(4)} instead of ${expected[differs].toPrecision(4)} (${name})`);
  }
}
