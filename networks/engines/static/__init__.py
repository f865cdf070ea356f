"""Engines with memory of a fixed size, for compiled networks."""
