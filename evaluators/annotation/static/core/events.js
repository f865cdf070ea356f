// @ts-check
/** The server's events, with reconnection. */

const RETRY_MS = 1000;
const REST_MS = 2000;

/**
 * Listen for events until the page closes. A hidden page that waits for nothing rests, since browsers hold no more than
 * six connections to a server: with seven open tabs, the last one would load nothing.
 * @param {{clip: (data: any) => void, job: (data: any) => void, project: (data: any) => void,
 *   open: (again: boolean) => void, lost: () => void, waits: () => boolean}} handlers
 */
export function listen(handlers) {
  let opened = false;
  let lost = false;
  /** @type {EventSource|null} */
  let source = null;
  const connect = () => {
    source = new EventSource("api/events");
    for (const name of /** @type {const} */ (["clip", "job", "project"])) {
      source.addEventListener(name, (event) => handlers[name](JSON.parse(event.data)));
    }
    source.onopen = () => {
      handlers.open(opened);
      opened = true;
      lost = false;
    };
    source.onerror = () => {
      source?.close();
      if (!lost) handlers.lost();
      lost = true;
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
}
