"""Batches of many videos: lists, workers on one or many machines, resumable results, summaries."""
