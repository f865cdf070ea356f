// @ts-check
/** The server's events, with reconnection. */

const RETRY_MS = 1000;
const REST_MS = 2000;
const PATIENCE_MS = 1500; // some proxies hold events back

/**
 * Listen for events until the page closes. A hidden page that waits for nothing disconnects, since browsers open at most
 * six connections to a server: with seven tabs, the last one would load nothing.
 * @param {{clip: (data: any) => void, job: (data: any) => void, project: (data: any) => void,
 *   open: (again: boolean) => void, lost: () => void, waits: () => boolean}} handlers
 * @returns {Promise<void>} resolved when events arrive, or after a while without a connection
 */
export function listen(handlers) {
  let missed = false; // events, since the page was loaded
  let lost = false;
  /** @type {EventSource|null} */
  let source = null;
  /** @type {() => void} */
  let settle = () => {};
  /** @type {Promise<void>} */
  const settled = new Promise((resolve) => {
    settle = () => {
      missed = true;
      resolve();
    };
  });
  const connect = () => {
    source = new EventSource("api/events");
    for (const name of /** @type {const} */ (["clip", "job", "project"])) {
      source.addEventListener(name, (event) => handlers[name](JSON.parse(event.data)));
    }
    source.addEventListener("connected", () => {
      handlers.open(missed);
      lost = false;
      settle();
    });
    source.onerror = () => {
      source?.close();
      if (!lost) handlers.lost();
      lost = true;
      settle();
      setTimeout(connect, RETRY_MS);
    };
  };
  const rest = () => {
    if (!document.hidden || !source || source.readyState !== EventSource.OPEN) return;
    if (handlers.waits()) return void setTimeout(rest, REST_MS);
    source.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) setTimeout(rest, REST_MS);
    else if (!source) connect();
  });
  connect();
  setTimeout(settle, PATIENCE_MS);
  return settled;
}
