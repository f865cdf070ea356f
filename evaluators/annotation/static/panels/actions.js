// @ts-check
/** Actions of keys and buttons on every page: tools, objects, frames, range, view, undo. */

/** @typedef {Record<string, (key: string) => unknown>} Actions */

/**
 * Actions by their names in the table of shortcuts.
 * @param {{session: any, stage: import("../view/stage.js").Stage, player: import("./playback.js").Player,
 *   toolbox: import("../tools/toolbox.js").Toolbox, toolbar: import("./toolbar.js").ToolBar, view: import("./view_controls.js").ViewControls,
 *   objects: {cycle: (by: 1|-1) => void, toggleSolo: (id: number) => void}}} parts
 * @returns {Actions}
 */
export function commonActions({ session, stage, player, toolbox, toolbar, view, objects }) {
  /** @type {import("../core/store.js").Store} */
  const store = session.store;
  const visit = (/** @type {number|undefined} */ frame) => {
    player.stop();
    if (frame !== undefined) session.visit(frame);
  };
  const step = (/** @type {number} */ by) => {
    player.stop();
    session.step(by);
  };
  return {
    brush: () => toolbox.choose("brush"),
    eraser: () => toolbox.choose("eraser"),
    fill: () => toolbox.choose("fill"),
    polygon: () => toolbox.choose("polygon"),
    prompt: () => toolbox.choose("prompt"),
    hand: () => toolbox.choose("hand"),
    smaller: () => toolbox.grow(-1),
    larger: () => toolbox.grow(1),
    eraseAll: () => toolbar.toggleEraser(),
    accept: () => toolbox.tool.accept(),
    back: () => toolbox.tool.back(),
    object: (key) => store.objects[Number(key) - 1] && session.selectObject(store.objects[Number(key) - 1].id),
    nextObject: () => objects.cycle(1),
    previousObject: () => objects.cycle(-1),
    solo: () => objects.toggleSolo(store.object),
    next: () => step(1),
    previous: () => step(-1),
    next10: () => step(10),
    previous10: () => step(-10),
    first: () => visit(0),
    last: () => visit(session.navigator.last),
    givenBefore: () => visit(store.givenFrom(session.navigator.wanted, -1)),
    givenAfter: () => visit(store.givenFrom(session.navigator.wanted, 1)),
    play: () => player.toggle(),
    clear: () => store.clip && session.editor.clear(),
    keep: () => store.stateOf(store.frame) === "propagated" && session.editor.keep(),
    escape: () => toolbox.tool.cancel() || session.stop(),
    markIn: () => store.mark(store.frame, store.markOut !== null && store.markOut < store.frame ? null : store.markOut),
    markOut: () => store.mark(store.markIn !== null && store.markIn > store.frame ? null : store.markIn, store.frame),
    markNone: () => store.mark(null, null),
    mode: () => view.nextMode(),
    fit: () => stage.fit(),
    zoomIn: () => stage.zoomBy(1.25),
    zoomOut: () => stage.zoomBy(1 / 1.25),
    undo: () => {
      if (toolbox.tool.back()) return;
      const { waiting } = toolbox.prompt; // the click's edit doesn't exist yet
      if (store.tool === "prompt") toolbox.prompt.undone();
      if (store.tool === "prompt" && waiting) return;
      session.history("undo");
    },
    redo: () => session.history("redo"),
  };
}
