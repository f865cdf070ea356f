// @ts-check
/** The server's events, with reconnection. */

const RETRY_MS = 1000;

/**
 * Listen for events until the page closes.
 * @param {{clip: (data: any) => void, job: (data: any) => void, project: (data: any) => void,
 *   open: (again: boolean) => void, lost: () => void}} handlers
 */
export function listen(handlers) {
  let opened = false;
  let lost = false;
  const connect = () => {
    const source = new EventSource("api/events");
    for (const name of /** @type {const} */ (["clip", "job", "project"])) {
      source.addEventListener(name, (event) => handlers[name](JSON.parse(event.data)));
    }
    source.onopen = () => {
      handlers.open(opened);
      opened = true;
      lost = false;
    };
    source.onerror = () => {
      source.close();
      if (!lost) handlers.lost();
      lost = true;
      setTimeout(connect, RETRY_MS);
    };
  };
  connect();
}
