"""Files of an annotated clip: journal of changes, index of masks, table of objects."""
