"""Masks of object ids: PNG and COCO JSON files, palettes, masks of single frames."""
