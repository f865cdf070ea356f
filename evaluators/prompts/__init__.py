"""Prompts: points and boxes in one frame to the mask of an object."""
