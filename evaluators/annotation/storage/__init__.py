"""Files of an annotated clip: journal of changes, index of masks, table of objects."""

PRIVATE = ".annotation"
"""Folder of these files, in the folder of the results."""
