// @ts-check
/** Worker that compresses masks, so that 16 MB at 4K don't block the brush. */

self.onmessage = async (event) => {
  const { number, buffer } = event.data;
  const stream = new Blob([buffer]).stream().pipeThrough(new CompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  /** @type {any} */ (self).postMessage({ number, bytes }, [bytes]);
};
