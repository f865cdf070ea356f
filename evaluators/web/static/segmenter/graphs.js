// @ts-check
/** Exported graphs as sessions of onnxruntime-web, on WebGPU or in WebAssembly, and the manifest that describes them. */

import { checkGraphs } from "./check.js";

const FORMAT = "voskit-onnx";
const VERSION = 1;
const FAMILIES = ["aot", "deaot", "aost"];

/** @typedef {{data: Float32Array|Int32Array|Uint8Array|BigInt64Array, dims: number[]}} Tensor */
/** Tensors by the names of a graph's inputs or outputs. @typedef {Record<string, Tensor>} Tensors */
/** @typedef {[number, number]} Size height and width */

/**
 * @typedef {{format: string, version: number, model: string, family: string, precision: string, frame_size: Size,
 *   image_size: Size, input_size: Size, memory_frames: number, min_memory_frames: number, long_term_gap: number,
 *   short_term_skip: number, background: boolean, identities: number, objects: number, neighbors_apart: boolean, stray_distance?: number|null,
 *   preprocessing: {interpolation: string, mean: number[], std: number[]}, palette: number[], license: string, check?: Record<string, number[]>,
 *   graphs: Record<string, {file: string, sha256: string, bytes: number}>}} Manifest
 */

/** @typedef {"auto"|"webgpu"|"wasm"} Wanted */
/** @typedef {{name: "webgpu"|"wasm", threads: number, reason: string}} Backend */

/**
 * `backend`: "auto" uses WebGPU if available, else WebAssembly. `threads` of WebAssembly, more than one only if the
 * page is cross-origin isolated; default: half the cores, at most 8. `onProgress` gets the loaded and the total bytes.
 * @typedef {{backend?: Wanted, threads?: number, onProgress?: (loaded: number, total: number) => void}} Options
 */

/** @typedef {{inputNames: readonly string[], run: (feeds: Record<string, any>) => Promise<Record<string, any>>, release?: () => Promise<void>}} InferenceSession */
/** @typedef {{env: any, Tensor: any, InferenceSession: {create: (model: Uint8Array, options: object) => Promise<InferenceSession>}}} Ort */

const BUNDLES = {
  webgpu: { module: "ort.webgpu.bundle.min.mjs", binary: "ort-wasm-simd-threaded.asyncify.wasm" },
  wasm: { module: "ort.wasm.bundle.min.mjs", binary: "ort-wasm-simd-threaded.wasm" },
};

/** Graphs that run on WebGPU, about nine tenths of the work. The others embed labels, which gives other values there. */
const ON_WEBGPU = ["encode", "propagate"];

/** Element types by the class of an array. */
const TYPES = new Map(/** @type {[Function, string][]} */ ([[Float32Array, "float32"], [Int32Array, "int32"], [Uint8Array, "bool"], [BigInt64Array, "int64"]]));

export class Graphs {
  /** @param {Manifest} manifest @param {Ort} ort @param {Record<string, InferenceSession>} sessions @param {Backend} backend */
  constructor(manifest, ort, sessions, backend) {
    this.manifest = manifest;
    this.ort = ort;
    this.sessions = sessions;
    this.backend = backend;
  }

  /** Run a graph; inputs that it doesn't have are left out. @param {string} graph @param {Tensors} inputs @returns {Promise<Tensors>} */
  async run(graph, inputs) {
    const session = this.sessions[graph];
    const feeds = Object.fromEntries(session.inputNames.map((name) => [name, this.tensor(inputs[name])]));
    const found = await session.run(feeds);
    return Object.fromEntries(Object.entries(found).map(([name, x]) => [name, { data: x.data, dims: [...x.dims] }]));
  }

  /** Resize maps bilinearly, by the convention of the model. @param {Tensor} x [B, C, h, w] @param {Size} size @returns {Promise<Tensor>} */
  async resize(x, size) {
    const [batch, channels, height, width] = x.dims;
    if (height === size[0] && width === size[1]) return x;
    const shape = BigInt64Array.from([batch, channels, ...size].map(BigInt));
    return (await this.run("resize", { x, size: { data: shape, dims: [4] } })).y;
  }

  /** @param {Tensor} x */
  tensor({ data, dims }) {
    return new this.ort.Tensor(TYPES.get(data.constructor), data, dims);
  }
}

/** Load the graphs of a folder. @param {string} folder its address @param {Options} options @returns {Promise<Graphs>} */
export async function openGraphs(folder, { backend = "auto", threads = defaultThreads(), onProgress = () => {} }) {
  const base = new URL(folder.endsWith("/") ? folder : `${folder}/`, globalThis.location?.href).href;
  const manifest = await readManifest(base);
  const models = await readModels(base, manifest, onProgress);
  let reason = "";
  if (backend !== "wasm") {
    reason = await obstacleOfWebGPU();
    if (!reason) {
      try {
        return await start({ name: "webgpu", threads: 1, reason: "this browser offers it" }, base, manifest, models);
      } catch (error) {
        reason = `the graphs don't run on WebGPU here: ${error instanceof Error ? error.message : error}`;
      }
    }
    if (backend === "webgpu") throw new Error(`WebGPU can't be used: ${reason}`);
  }
  const used = globalThis.crossOriginIsolated ? threads : 1;
  return start({ name: "wasm", threads: used, reason: reason || "it was asked for" }, base, manifest, models);
}

function defaultThreads() {
  return Math.min(8, Math.max(1, navigator.hardwareConcurrency >> 1));
}

/** Return why WebGPU can't be used; empty: it can. */
async function obstacleOfWebGPU() {
  const gpu = /** @type {any} */ (globalThis.navigator)?.gpu;
  if (!gpu) return globalThis.isSecureContext ? "this browser has no WebGPU" : "WebGPU needs https or localhost";
  try {
    return (await gpu.requestAdapter()) ? "" : "WebGPU found no graphics adapter";
  } catch (error) {
    return `WebGPU gave no graphics adapter: ${error instanceof Error ? error.message : error}`;
  }
}

/**
 * Create the sessions. On WebGPU they are checked, which also compiles their shaders.
 * @param {Backend} backend @param {string} base @param {Manifest} manifest @param {Record<string, Uint8Array>} models
 * @returns {Promise<Graphs>}
 */
async function start(backend, base, manifest, models) {
  const { name, threads } = backend;
  const { module, binary } = BUNDLES[name];
  /** @type {Ort} */
  const ort = await import(new URL(`ort/${module}`, base).href);
  ort.env.wasm.wasmPaths = { wasm: new URL(`ort/${binary}`, base).href };
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = threads;
  /** @type {Record<string, InferenceSession>} */
  const sessions = {};
  for (const [graph, model] of Object.entries(models)) {
    const providers = name === "webgpu" && ON_WEBGPU.includes(graph) ? ["webgpu"] : ["wasm"];
    sessions[graph] = await ort.InferenceSession.create(model, { executionProviders: providers, logSeverityLevel: 3 });
  }
  const graphs = new Graphs(manifest, ort, sessions, backend);
  if (name === "wasm") return graphs;
  try {
    await checkGraphs(graphs);
  } catch (error) {
    for (const session of Object.values(sessions)) await session.release?.();
    throw error;
  }
  return graphs;
}

/** @param {string} address @returns {Promise<Response>} */
async function answer(address) {
  const response = await fetch(address).catch(() => null);
  if (!response?.ok) throw new Error(`${address} can't be read${response ? ` (${response.status})` : ""}: the folder must be served whole`);
  return response;
}

/** @param {string} base @returns {Promise<Manifest>} */
async function readManifest(base) {
  /** @type {Manifest} */
  const manifest = await (await answer(new URL("manifest.json", base).href)).json();
  if (manifest.format !== FORMAT || manifest.version !== VERSION) {
    throw new Error(`the manifest has format ${manifest.format} ${manifest.version}, but ${FORMAT} ${VERSION} is needed: export the model again`);
  }
  if (!FAMILIES.includes(manifest.family)) throw new Error(`the folder holds ${manifest.family}; the page runs ${FAMILIES.join(", ")}`);
  return manifest;
}

/**
 * Read all graphs and compare them with the manifest.
 * @param {string} base @param {Manifest} manifest @param {(loaded: number, total: number) => void} onProgress
 */
async function readModels(base, manifest, onProgress) {
  const entries = Object.entries(manifest.graphs);
  const total = entries.reduce((sum, [, { bytes }]) => sum + bytes, 0);
  let loaded = 0;
  /** @type {Record<string, Uint8Array>} */
  const models = {};
  for (const [name, { file, sha256, bytes }] of entries) {
    const model = new Uint8Array(bytes);
    let at = 0;
    const stream = /** @type {ReadableStream<Uint8Array>} */ ((await answer(new URL(file, base).href)).body);
    for (const reader = stream.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      if (at + value.length <= bytes) model.set(value, at);
      at += value.length;
      onProgress(loaded + at, total);
    }
    const same = at === bytes && (await digest(model)) === (globalThis.crypto?.subtle ? sha256 : "");
    if (!same) throw new Error(`${file} is not the file that was exported: export the model again`);
    loaded += bytes;
    models[name] = model;
  }
  return models;
}

/** SHA-256 in hexadecimal; empty without https and localhost, where browsers don't compute it. @param {Uint8Array<ArrayBuffer>} bytes */
async function digest(bytes) {
  if (!globalThis.crypto?.subtle) return "";
  const hash = await crypto.subtle.digest("SHA-256", bytes);
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
