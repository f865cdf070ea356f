"""Web export: a folder with a page that segments videos in the browser with onnxruntime-web."""
