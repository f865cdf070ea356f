// @ts-check
/** Requests to the server. URLs are relative, so the page also works below a proxy's prefix. */

/** @typedef {import("./types.js").Clip} Clip */
/** @typedef {import("./types.js").Project} Project */
/** @typedef {import("./types.js").Quality} Quality */

/** Error response: its status and the server's message. */
export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** No response: the server or the network is down. */
export class ConnectionLost extends Error {}

/** Return true if a request may succeed when repeated: no connection, or a clip that is being opened. @param {unknown} error */
export function passes(error) {
  return error instanceof ConnectionLost || (error instanceof ApiError && error.status === 409);
}

/**
 * @param {string} path below `api/` @param {RequestInit} [options] @returns {Promise<Response>}
 */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(`api/${path}`, { cache: "no-store", credentials: "same-origin", ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ConnectionLost("no connection to the server");
  }
  if (response.ok) return response;
  throw new ApiError(response.status, await sentence(response));
}

/** @param {Response} response */
async function sentence(response) {
  if (response.status === 401 || response.status === 403) {
    return "The server doesn't accept this page any more: open the address that it printed when it was started.";
  }
  try {
    return (await response.json()).error ?? response.statusText;
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}

/** @param {string} path @param {string} [method] @param {unknown} [body] */
export async function json(path, method = "GET", body) {
  const options = /** @type {RequestInit} */ ({ method });
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  const response = await request(path, options);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** @returns {Promise<Project>} */
export const project = () => json("project");
/** @param {string} id @returns {Promise<Clip>} */
export const clip = (id) => json(`clips/${encodeURIComponent(id)}`);
/** @param {string} id @returns {Promise<Quality>} */
export const quality = (id) => json(`clips/${encodeURIComponent(id)}/quality`);

/** @param {string} id @param {string} rest */
export const inClip = (id, rest) => `clips/${encodeURIComponent(id)}${rest ? "/" : ""}${rest}`;

/**
 * Read a frame's mask; `ids` is null if it has none.
 * @param {string} id @param {number} frame @returns {Promise<{ids: Uint16Array|null, tag: string}>}
 */
export async function readMask(id, frame) {
  const response = await request(inClip(id, `masks/${frame}`));
  const tag = response.headers.get("ETag") ?? "";
  if (response.status === 204) return { ids: null, tag };
  return { ids: new Uint16Array(await response.arrayBuffer()), tag };
}

/** @param {string} id @param {number} frame @returns {Promise<ImageBitmap>} */
export async function readPicture(id, frame) {
  const response = await request(inClip(id, `frames/${frame}.jpg`), { cache: "default" });
  return createImageBitmap(await response.blob());
}

/**
 * Ask a prompter for an object's pixels, one byte each.
 * @param {string} id @param {object} prompt @param {AbortSignal} signal
 */
export async function prompt(id, prompt, signal) {
  const headers = { "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(prompt), signal };
  return new Uint8Array(await (await request(inClip(id, "prompt"), options)).arrayBuffer());
}

/**
 * Send files and report the progress, 0 to 1.
 * @param {string} path @param {FormData} form @param {(part: number) => void} progress @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function upload(path, form, progress, signal) {
  sending += 1;
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", `api/${path}`);
    call.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    call.onload = () => {
      let answer = null;
      try {
        answer = call.responseText ? JSON.parse(call.responseText) : null;
      } catch {
        answer = null;
      }
      if (call.status >= 200 && call.status < 300) resolve(answer);
      else reject(new ApiError(call.status, answer?.error ?? `${call.status} ${call.statusText}`));
    };
    call.onerror = () => reject(new ConnectionLost("the connection broke during the upload"));
    call.onabort = () => reject(new ApiError(0, "the upload was stopped"));
    signal?.addEventListener("abort", () => call.abort());
    call.onloadend = () => (sending -= 1);
    call.send(form);
  });
}

let sending = 0;

/** Number of running uploads. */
export const uploads = () => sending;
