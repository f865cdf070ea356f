// @ts-check
/** Fill of a connected region. */

import { floodFill } from "../core/raster.js";
import { obstacle, Tool } from "./tool.js";

export class FillTool extends Tool {
  /** @param {import("./tool.js").Point} point @param {PointerEvent} _event @param {boolean} second */
  down(point, _event, second) {
    const problem = obstacle(this.store);
    if (problem) return this.session.say(problem, "error");
    const [x, y] = point.map(Math.floor);
    const { width, height } = this.editor;
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    this.editor.apply("fill", (target) => floodFill(target, x, y, second ? 0 : this.store.object));
  }
}
