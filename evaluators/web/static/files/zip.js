// @ts-check
/** ZIP archives of files that are already compressed. */

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});
const UTF8 = 0x0800;
const DATE = 0x21; // 1980-01-01: equal masks give equal archives

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let c = 0xffffffff;
  for (const byte of bytes) c = TABLE[(c ^ byte) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

/** Write numbers of 2 or 4 bytes, low byte first. @param {[number, 2|4][]} fields @returns {Uint8Array<ArrayBuffer>} */
function record(fields) {
  const out = new Uint8Array(fields.reduce((sum, [, size]) => sum + size, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const [value, size] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return out;
}

/** An archive that grows file by file. It stays below 4 GB and 65,535 files. */
export class Zip {
  constructor() {
    /** @type {BlobPart[]} */
    this.parts = [];
    /** @type {BlobPart[]} */
    this.directory = [];
    this.size = 0;
    this.directorySize = 0;
    this.count = 0;
  }

  /** @param {string} name @param {Blob} content */
  async add(name, content) {
    const bytes = new Uint8Array(await content.arrayBuffer());
    const path = new TextEncoder().encode(name);
    /** @type {[number, 2|4][]} */
    const common = [[20, 2], [UTF8, 2], [0, 2], [0, 2], [DATE, 2], [crc32(bytes), 4], [bytes.length, 4], [bytes.length, 4], [path.length, 2], [0, 2]];
    const head = record([[0x04034b50, 4], ...common]);
    const entry = record([[0x02014b50, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [this.size, 4]]);
    this.parts.push(head, path, content);
    this.directory.push(entry, path);
    this.size += head.length + path.length + bytes.length;
    this.directorySize += entry.length + path.length;
    this.count++;
  }

  /** @returns {Blob} */
  finish() {
    const end = record([[0x06054b50, 4], [0, 2], [0, 2], [this.count, 2], [this.count, 2], [this.directorySize, 4], [this.size, 4], [0, 2]]);
    return new Blob([...this.parts, ...this.directory, end], { type: "application/zip" });
  }
}
