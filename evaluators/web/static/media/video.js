// @ts-check
/** A video as frames at a stated rate: the browser decodes it, and each frame is found by seeking to its middle. */

/** @typedef {import("./source.js").Source} Source */

const USUAL = [24000 / 1001, 24, 25, 30000 / 1001, 30, 48, 50, 60000 / 1001, 60, 90, 100, 120];
const SAMPLES = 24;
const SAMPLE_MS = 1500;
const SEEK_MS = 15000;
const FALLBACK = 30;

/** @param {EventTarget} target @param {string} name @param {number} limit in milliseconds @param {string} problem @returns {Promise<void>} */
function event(target, name, limit, problem) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(problem)), limit);
    target.addEventListener(name, () => (clearTimeout(timer), resolve()), { once: true });
    target.addEventListener("error", () => (clearTimeout(timer), reject(new Error(problem))), { once: true });
  });
}

/** @param {File} file @param {number|null} rate frames a second; null: the video's own, as measured @returns {Promise<Source>} */
export async function openVideo(file, rate) {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.preload = "auto";
  const address = URL.createObjectURL(file);
  const unreadable = `This browser can't read ${file.name}. It reads MP4 with H.264, WebM, and images; convert the video to one of these.`;
  const ready = event(video, "loadeddata", SEEK_MS, unreadable);
  video.src = address;
  try {
    await ready;
    const { videoWidth: width, videoHeight: height, duration } = video;
    if (!width || !height || !Number.isFinite(duration)) throw new Error(unreadable);
    const found = rate ?? (await ownRate(video));
    const frames = Math.max(1, Math.round(duration * found));
    return {
      name: file.name,
      frames,
      width,
      height,
      times: Array.from({ length: frames }, (_, i) => i / found),
      names: Array.from({ length: frames }, (_, i) => String(i).padStart(5, "0")),
      rate: found,
      picture: oneByOne((frame) => seek(video, Math.min((frame + 0.5) / found, Math.max(0, duration - 1e-3)), file.name)),
      close: () => {
        video.removeAttribute("src");
        video.load();
        URL.revokeObjectURL(address);
      },
    };
  } catch (error) {
    URL.revokeObjectURL(address);
    throw error;
  }
}

/** @template T @param {(frame: number) => Promise<T>} read @returns {(frame: number) => Promise<T>} */
function oneByOne(read) {
  let before = /** @type {Promise<unknown>} */ (Promise.resolve());
  return (frame) => {
    const now = before.then(() => read(frame));
    before = now.catch(() => {}); // that frame's caller gets the error
    return now;
  };
}

/** @param {HTMLVideoElement} video @param {number} time @param {string} name */
async function seek(video, time, name) {
  if (Math.abs(video.currentTime - time) > 1e-6) {
    const sought = event(video, "seeked", SEEK_MS, `${name} can't be read at ${time.toFixed(2)} s.`);
    video.currentTime = time;
    await sought;
  }
  return createImageBitmap(video);
}

/** Measure a video's frame rate on its first frames. @param {HTMLVideoElement} video @returns {Promise<number>} */
async function ownRate(video) {
  if (!video.requestVideoFrameCallback) return FALLBACK;
  /** @type {number[]} */
  const times = [];
  await new Promise((resolve) => {
    const timer = setTimeout(resolve, SAMPLE_MS);
    const next = (/** @type {number} */ _now, /** @type {VideoFrameCallbackMetadata} */ { mediaTime }) => {
      times.push(mediaTime);
      if (times.length < SAMPLES && !video.ended) video.requestVideoFrameCallback(next);
      else resolve(clearTimeout(timer));
    };
    video.requestVideoFrameCallback(next);
    video.addEventListener("ended", () => resolve(clearTimeout(timer)), { once: true });
    video.play().catch(resolve);
  });
  video.pause();
  // frames may be skipped, never added: the smallest distance is one frame, and larger ones are multiples of it
  const steps = times.slice(1).map((time, i) => time - times[i]).filter((step) => step > 1e-3).sort((a, b) => a - b);
  if (!steps.length) return FALLBACK;
  const one = steps.filter((step) => step < steps[0] * 1.3);
  const measured = one.length / one.reduce((sum, step) => sum + step, 0);
  const usual = USUAL.reduce((a, b) => (Math.abs(b - measured) < Math.abs(a - measured) ? b : a));
  return Math.abs(usual / measured - 1) < 0.02 ? usual : Math.round(100 * measured) / 100;
}
