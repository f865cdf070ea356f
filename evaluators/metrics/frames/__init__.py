"""Masks of frames for scoring: reading, comparing, and worker processes."""
