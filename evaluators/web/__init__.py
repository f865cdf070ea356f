"""Folders with a page that segments videos in the browser, with onnxruntime-web."""
