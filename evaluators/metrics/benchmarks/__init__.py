"""Scorers of the benchmarks."""
