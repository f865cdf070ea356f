"""Prompters: masks of objects from points and boxes in one frame."""
