// @ts-check
/** Image files as frames, with exactly the pixels that they hold. */

/** @typedef {import("./source.js").Source} Source */

const RATE = 25; // playback rate, since images have none

/** @param {File} file */
async function decode(file) {
  try {
    return await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Error(`${file.name} can't be read as an image.`);
  }
}

/** @param {File[]} files @returns {Promise<Source>} */
export async function openImages(files) {
  const sorted = [...files].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  const { width, height } = await decode(sorted[0]);
  const folder = sorted[0].webkitRelativePath.split("/").slice(-2, -1)[0];
  return {
    name: folder || (sorted.length === 1 ? sorted[0].name : `${sorted.length} images`),
    frames: sorted.length,
    width,
    height,
    times: sorted.map((_, i) => i / RATE),
    names: uniqueNames(sorted.map(({ name }) => name.replace(/\.[^.]+$/, ""))),
    rate: null,
    picture: async (frame) => {
      const bitmap = await decode(sorted[frame]);
      if (bitmap.width !== width || bitmap.height !== height) {
        throw new Error(`${sorted[frame].name} has ${bitmap.width}x${bitmap.height} pixels, the first image ${width}x${height}.`);
      }
      return bitmap;
    },
    close: () => {},
  };
}

/** Number the frames if two images differ only in their extensions. @param {string[]} names */
function uniqueNames(names) {
  return new Set(names).size === names.length ? names : names.map((_, i) => String(i).padStart(5, "0"));
}
