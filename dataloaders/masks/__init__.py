"""Masks of object ids: PNG, COCO JSON, palettes, and the masks that come with a video."""
