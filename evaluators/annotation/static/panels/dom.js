// @ts-check
/** Builder of DOM elements, and the page's icons. */

/**
 * Make an element. Properties are set as they are; `class`, `title` and names with a dash are attributes, functions of
 * `on...` listeners.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Record<string, any>} [properties] @param {...(Node|string|null)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class" || name.includes("-")) element.setAttribute(name, value);
    else /** @type {any} */ (element)[name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** @type {Record<string, string>} */
const PATHS = {
  brush: "M14.5 3.5a2.1 2.1 0 0 1 3 3L10 14l-4 1 1-4zM5 15c-1 0-2 .7-2 2 1.6 .6 3.5 .2 3.5-1.2",
  eraser: "M8 16.5h8.5M4 12l7-7.5a1.5 1.5 0 0 1 2.1 0l3 3a1.5 1.5 0 0 1 0 2.1L9.5 16.5h-2L4 13.8a1.3 1.3 0 0 1 0-1.8zM8 8l5 5",
  fill: "M9 3.5l6.5 6.5-5.5 5.5a1.5 1.5 0 0 1-2.1 0L3.5 11a1.5 1.5 0 0 1 0-2.1zM7 2l3 3M3.2 10h12.3M17 13s1.2 1.7 1.2 2.6a1.2 1.2 0 0 1-2.4 0C15.8 14.7 17 13 17 13z",
  polygon: "M4 6.5L11 3l6 5.5-3 7.5H6zM4 6.5a1 1 0 1 0 .01 0M11 3a1 1 0 1 0 .01 0M17 8.5a1 1 0 1 0 .01 0M14 16a1 1 0 1 0 .01 0M6 16a1 1 0 1 0 .01 0",
  prompt: "M8.5 8.5l8 3-3.5 1.5L11.5 16.5zM3 6V4.5A1.5 1.5 0 0 1 4.5 3H6M9 3h2M14 3h1.5A1.5 1.5 0 0 1 17 4.5V6M3 9v2M3 14v1.5A1.5 1.5 0 0 0 4.5 17H6",
  hand: "M7 10V4.8a1.2 1.2 0 0 1 2.4 0V9V3.7a1.2 1.2 0 0 1 2.4 0V9V4.8a1.2 1.2 0 0 1 2.4 0V10.5V7a1.2 1.2 0 0 1 2.3 0v5.5a5 5 0 0 1-5 5h-.8a5 5 0 0 1-4-2l-3-4.2a1.2 1.2 0 0 1 1.9-1.5z",
  undo: "M7 4L3.5 7.5L7 11M3.5 7.5H12a4.5 4.5 0 0 1 0 9H8",
  redo: "M13 4l3.5 3.5L13 11M16.5 7.5H8a4.5 4.5 0 0 0 0 9h4",
  eye: "M2 10s3-5.5 8-5.5S18 10 18 10s-3 5.5-8 5.5S2 10 2 10zM10 7.6a2.4 2.4 0 1 0 .01 0",
  hidden: "M3 3l14 14M8 5a7 7 0 0 1 2-.5c5 0 8 5.5 8 5.5a13 13 0 0 1-2.3 3M12 15.2a7 7 0 0 1-2 .3c-5 0-8-5.5-8-5.5a13 13 0 0 1 3-3.6",
  lock: "M5.5 9h9v7.5h-9zM7.2 9V6.3a2.8 2.8 0 0 1 5.6 0V9",
  unlocked: "M5.5 9h9v7.5h-9zM7.2 9V6a2.8 2.8 0 0 1 5.4-1",
  solo: "M10 2.5v2.5M10 15v2.5M2.5 10H5M15 10h2.5M10 6.5a3.5 3.5 0 1 0 .01 0",
  trash: "M4 5.5h12M8 5.5V3.5h4v2M5.5 5.5l.7 11h7.6l.7-11M8.5 8.5v5M11.5 8.5v5",
  plus: "M10 4v12M4 10h12",
  minus: "M4 10h12",
  more: "M5 10h.01M10 10h.01M15 10h.01",
  merge: "M5 3.5v3.5c0 3 5 3 5 6v3.5M15 3.5v3.5c0 3-5 3-5 6M7.5 14.5L10 17l2.5-2.5",
  play: "M6 4l10 6-10 6z",
  pause: "M7 4.5v11M13 4.5v11",
  first: "M5 4.5v11M15 4.5L8 10l7 5.5z",
  last: "M15 4.5v11M5 4.5L12 10l-7 5.5z",
  previous: "M12.5 4.5L7 10l5.5 5.5",
  next: "M7.5 4.5L13 10l-5.5 5.5",
  given: "M10 3.5l6.5 6.5-6.5 6.5L3.5 10z",
  forward: "M3.5 10h11M10.5 5.5L15 10l-4.5 4.5M17.5 4.5v11",
  backward: "M16.5 10h-11M9.5 5.5L5 10l4.5 4.5M2.5 4.5v11",
  both: "M2.5 10h15M6 6.5L2.5 10L6 13.5M14 6.5L17.5 10L14 13.5",
  stop: "M5 5h10v10H5z",
  target: "M10 5.5a4.5 4.5 0 1 0 .01 0M10 2v4M10 14v4M2 10h4M14 10h4",
  film: "M3 4.5h14v11H3zM6.5 4.5v11M13.5 4.5v11M3 8h3.5M3 12h3.5M13.5 8H17M13.5 12H17",
  open: "M3 15.5v-11h5l1.5 2H17v9zM10 9v4M8 11h4",
  import: "M10 3v9M6.5 8.5L10 12l3.5-3.5M3.5 13v3.5h13V13",
  export: "M10 12V3M6.5 6.5L10 3l3.5 3.5M3.5 13v3.5h13V13",
  fit: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4",
  moon: "M16 11.5A6.5 6.5 0 0 1 8.5 4a6.5 6.5 0 1 0 7.5 7.5z",
  sun: "M10 6.5a3.5 3.5 0 1 0 .01 0M10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1 1M14.7 14.7l1 1M4.3 15.7l1-1M14.7 5.3l1-1",
  auto: "M10 3a7 7 0 1 0 .01 0M10 3v14M10 3a7 7 0 0 1 0 14",
  help: "M10 2.5a7.5 7.5 0 1 0 .01 0M7.8 8a2.2 2.2 0 1 1 3.2 2c-.7.4-1 .8-1 1.5M10 14h.01",
  check: "M4 10.5l4 4 8-9",
  close: "M5 5l10 10M15 5L5 15",
  warning: "M10 3L2.5 16.5h15zM10 8v4M10 14.3h.01",
  down: "M5.5 8l4.5 4.5L14.5 8",
  folder: "M3 15.5v-11h5l1.5 2H17v9z",
  layers: "M10 3l7.5 4L10 11 2.5 7zM3 10.5l7 3.8 7-3.8M3 13.7l7 3.8 7-3.8",
  keep: "M5 3.5h10v13l-5-3.5-5 3.5z",
  in: "M6 3.5v13M6 10h9M11.5 6.5L15 10l-3.5 3.5",
  out: "M14 3.5v13M14 10H5M8.5 6.5L5 10l3.5 3.5",
};
const FILLED = new Set(["play", "stop", "first", "last"]);

/** @param {string} name @returns {SVGSVGElement} */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", `icon${FILLED.has(name) ? " filled" : ""}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name] ?? "");
  svg.append(path);
  return svg;
}

/**
 * A button with an icon; its title names the shortcut.
 * @param {string} name @param {string} label @param {(event: MouseEvent) => void} onclick @param {string} [key] @param {string} [kind]
 */
export function iconButton(name, label, onclick, key = "", kind = "") {
  const title = key ? `${label} (${key})` : label;
  return el("button", { class: `icon-button ${kind}`, type: "button", title, "aria-label": label, onclick }, icon(name));
}

/** Replace the icon of a button. @param {HTMLElement} button @param {string} name */
export function setIcon(button, name) {
  if (button.dataset.icon === name) return;
  button.dataset.icon = name;
  button.replaceChildren(icon(name));
}

/** Time as m:ss.s. @param {number} seconds */
export function exactClock(seconds) {
  const tenths = Math.floor(10 * seconds + 1e-6);
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
}

/** Time as m:ss or h:mm:ss. @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
