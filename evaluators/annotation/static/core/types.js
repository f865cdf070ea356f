// @ts-check
/** Types of the server's responses and of the page's own records. */

/** @typedef {{id: number, name: string, color: string, visible: boolean, locked: boolean, given: number}} ObjectInfo */

/** @typedef {{frame?: number, zoom?: number|null, x?: number, y?: number, object?: number, in?: number|null, out?: number|null,
 *   mode?: string, opacity?: number}} SavedView */

/** @typedef {{id: string, clip: string, kind: string, state: "waiting"|"running"|"done"|"stopped"|"failed",
 *   done: number, total: number, fps: number|null, left_s: number|null, frame: number|null, error: string|null, file?: boolean,
 *   name?: string}} Job */

/** @typedef {{id: string, name: string, frames: number, height: number, width: number, times: number[], given: number[],
 *   masked: [number, number][], damaged: number[], cuts: number[], objects: ObjectInfo[], revisions: Record<string, number|string>,
 *   view: SavedView, job: Job|null, undo: string|null, redo: string|null, state?: ClipState, done?: number, error?: string|null,
 *   problem?: string|null, changes: number, fps?: number|null}} Clip */

/** @typedef {"opening"|"ready"|"failed"} ClipState */

/** @typedef {{id: string, name: string, frames: number, height: number, width: number, given: number, masked: number,
 *   state: ClipState, done?: number, error?: string|null}} ClipSummary */

/** @typedef {{name: string, state: "waiting"|"loading"|"ready"|"failed", error: string|null}} Model */

/** @typedef {{clips: ClipSummary[], first?: string|null, root: string|null,
 *   formats: {export: {name: string, about: string}[], import: string[]}, prompters: string[], model: Model|null, scenes?: string[], upload_limit?: number}} Project */

/** @typedef {{path: string, parent: string|null, entries: {name: string, path: string, kind: "folder"|"video"|"images"}[]}} Listing */

/** @typedef {{objects: Record<string, (number|null)[]>,
 *   next: {frame: number, object: number|null, confidence: number}|null}} Quality */

/** Half-open rectangle in image pixels: x0 <= x < x1. @typedef {{x0: number, y0: number, x1: number, y1: number}} Rect */

/** Pixels of a rectangle before and after an edit. @typedef {{rect: Rect, before: Uint16Array, after: Uint16Array}} Delta */

export {};
