"""Benchmark runs: masks, timing, score maps, scores."""
