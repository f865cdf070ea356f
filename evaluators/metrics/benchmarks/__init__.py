"""Scorers of the benchmarks, one file for each benchmark or family of benchmarks."""
