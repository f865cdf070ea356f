// @ts-check
/** Palette PNGs of object ids: a pixel's index is its id. */

import { crc32 } from "./zip.js";

/** Compress as zlib. @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<Uint8Array<ArrayBuffer>>} */
async function deflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** @param {string} kind @param {Uint8Array} content @returns {Uint8Array<ArrayBuffer>} */
function chunk(kind, content) {
  const out = new Uint8Array(content.length + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, content.length);
  for (let i = 0; i < 4; i++) out[4 + i] = kind.charCodeAt(i);
  out.set(content, 8);
  view.setUint32(content.length + 8, crc32(out.subarray(4, content.length + 8)));
  return out;
}

/**
 * Encode ids up to 255. @param {Uint16Array} ids @param {number} width @param {number} height
 * @param {number[]} palette red, green and blue of each id @returns {Promise<Blob>}
 */
export async function encodePng(ids, width, height, palette) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 3], 8); // 8 bits, palette
  const rows = new Uint8Array(height * (width + 1)); // each row begins with its filter, 0
  for (let y = 0, at = 0; y < height; y++) {
    rows[at++] = 0;
    for (let x = 0; x < width; x++) rows[at++] = ids[y * width + x];
  }
  const signature = Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10]);
  const parts = [signature, chunk("IHDR", header), chunk("PLTE", Uint8Array.from(palette.slice(0, 768))), chunk("IDAT", await deflate(rows)), chunk("IEND", new Uint8Array(0))];
  return new Blob(parts, { type: "image/png" });
}
