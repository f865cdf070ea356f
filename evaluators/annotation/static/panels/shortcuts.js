// @ts-check
/** Table of keyboard shortcuts, also shown by `?`; a page has those for which it has actions. */

/**
 * @typedef {{keys: string[], text: string, run: string, shown?: string, repeat?: boolean}} Shortcut
 * `keys` as returned by `describe` in keys.js; `shown` is the text for the table if it isn't the first key
 */

/** @type {[string, Shortcut[]][]} */
export const SHORTCUTS = [
  [
    "Tools",
    [
      { keys: ["b"], text: "Brush", run: "brush" },
      { keys: ["e"], text: "Eraser", run: "eraser" },
      { keys: ["g"], text: "Fill a region", run: "fill" },
      { keys: ["l"], text: "Polygon (click) or lasso (drag)", run: "polygon" },
      { keys: ["q"], text: "Select by clicks or a box", run: "prompt" },
      { keys: ["h"], text: "Hand", run: "hand" },
      { keys: ["["], text: "Smaller brush", run: "smaller", repeat: true },
      { keys: ["]"], text: "Larger brush", run: "larger", repeat: true },
      { keys: ["Shift+E"], text: "Erase this object / all objects", run: "eraseAll" },
      { keys: ["Enter"], text: "Close the polygon; accept clicks", run: "accept" },
      { keys: ["Backspace"], text: "Remove the polygon's last point", run: "back" },
    ],
  ],
  [
    "Objects",
    [
      { keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], text: "Choose an object", run: "object", shown: "1 … 9" },
      { keys: ["ArrowDown"], text: "Next object", run: "nextObject", shown: "↓", repeat: true },
      { keys: ["ArrowUp"], text: "Previous object", run: "previousObject", shown: "↑", repeat: true },
      { keys: ["n"], text: "New object", run: "newObject" },
      { keys: ["s"], text: "Show the object alone", run: "solo" },
      { keys: ["d"], text: "Lock or unlock the object", run: "lock" },
    ],
  ],
  [
    "Frames",
    [
      { keys: ["ArrowRight"], text: "Next frame", run: "next", shown: "→", repeat: true },
      { keys: ["ArrowLeft"], text: "Previous frame", run: "previous", shown: "←", repeat: true },
      { keys: ["Shift+ArrowRight"], text: "10 frames forward", run: "next10", shown: "Shift+→", repeat: true },
      { keys: ["Shift+ArrowLeft"], text: "10 frames back", run: "previous10", shown: "Shift+←", repeat: true },
      { keys: ["Home"], text: "First frame", run: "first" },
      { keys: ["End"], text: "Last frame", run: "last" },
      { keys: [","], text: "Previous given frame", run: "givenBefore", repeat: true },
      { keys: ["."], text: "Next given frame", run: "givenAfter", repeat: true },
      { keys: ["Space"], text: "Play or pause (tap)", run: "play" },
      { keys: ["k"], text: "Keep this mask as given", run: "keep" },
      { keys: ["Delete"], text: "Remove this frame's mask", run: "clear" },
    ],
  ],
  [
    "Propagation",
    [
      { keys: ["p"], text: "Propagate forwards", run: "forward" },
      { keys: ["Shift+P"], text: "Propagate backwards", run: "backward" },
      { keys: ["a"], text: "Propagate both ways", run: "both" },
      { keys: ["Escape"], text: "Cancel; stop the propagation", run: "escape", shown: "Esc" },
      { keys: ["c"], text: "Correct next: where the network is least sure", run: "correct" },
      { keys: ["i"], text: "Range begins here", run: "markIn" },
      { keys: ["o"], text: "Range ends here", run: "markOut" },
      { keys: ["x"], text: "Whole clip", run: "markNone" },
    ],
  ],
  [
    "View",
    [
      { keys: ["v"], text: "Next view: overlay, outline, mask, cut-out, original", run: "mode" },
      { keys: ["m"], text: "Toggle the original", run: "peek" },
      { keys: ["f", "0"], text: "Fit", run: "fit" },
      { keys: ["+", "="], text: "Zoom in", run: "zoomIn", repeat: true },
      { keys: ["-"], text: "Zoom out", run: "zoomOut", repeat: true },
      { keys: ["Shift+ArrowUp"], text: "Masks more opaque", run: "opaque", shown: "Shift+↑", repeat: true },
      { keys: ["Shift+ArrowDown"], text: "Masks more transparent", run: "clearer", shown: "Shift+↓", repeat: true },
    ],
  ],
  [
    "Everything",
    [
      { keys: ["Ctrl+z"], text: "Undo, also in other frames", run: "undo", shown: "Ctrl+Z", repeat: true },
      { keys: ["Ctrl+Shift+Z", "Ctrl+y"], text: "Redo", run: "redo", shown: "Ctrl+Shift+Z", repeat: true },
      { keys: ["Ctrl+s"], text: "Save now (changes are also saved automatically)", run: "save", shown: "Ctrl+S" },
      { keys: ["Ctrl+s"], text: "Download masks", run: "download", shown: "Ctrl+S" },
      { keys: ["Ctrl+o"], text: "Open a clip", run: "open", shown: "Ctrl+O" },
      { keys: ["Ctrl+e"], text: "Export", run: "export", shown: "Ctrl+E" },
      { keys: ["?"], text: "This table", run: "help" },
    ],
  ],
];

/** Gestures of mouse, pen and fingers: [gesture, effect]. @type {[string, string][]} */
export const GESTURES = [
  ["Wheel", "Zoom"],
  ["Space + drag", "Move the picture"],
  ["Shift + wheel", "Size of the brush"],
  ["Right button", "Erase; negative click; cut out a polygon"],
  ["Shift + click", "Straight stroke from the last one's end"],
  ["Two fingers", "Zoom and move"],
  ["Timeline: wheel", "Zoom in time; double click: whole clip"],
];
