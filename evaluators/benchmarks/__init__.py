"""Benchmark evaluations: masks, timing, score maps and scores."""
