"""Laying the objects of one clip over another, which gives clips more objects, and occlusion."""

from __future__ import annotations

import numpy as np

from voskit.dataloaders.training.clip import VOID, RawClip, object_ids


def merge(clip: RawClip, other: RawClip, max_objects: int, rng: np.random.Generator) -> RawClip:
    """The clip with objects of ``other`` laid over all of its frames, each where it is in ``other``.

    Those of ``other``'s frame 0 are taken, as many as leave room for the clip's own, and one at least. The clip is
    given back as it is where they would hide all of its own objects in frame 0.
    """
    own, ids = object_ids(clip.masks[0]), object_ids(other.masks[0])
    room = max(1, max_objects - len(own))
    chosen = rng.permutation(ids)[:room]
    free = np.setdiff1d(np.arange(1, len(own) + len(chosen) + 1), own)[: len(chosen)]
    # ids that only later frames of the clip hold are no objects of it: they must not meet the new ids
    keep = np.zeros(VOID + 1, np.uint16)
    keep[own], keep[VOID] = own, VOID
    new = np.zeros(VOID + 1, np.uint16)
    new[chosen] = free
    laid = [new[mask] for mask in other.masks]
    masks = [np.where(over != 0, over, keep[mask]) for over, mask in zip(laid, clip.masks, strict=True)]
    if not np.isin(object_ids(masks[0]), own).any():
        return clip
    frames = [
        np.where((over != 0)[..., None], theirs, ours)
        for over, theirs, ours in zip(laid, other.frames, clip.frames, strict=True)
    ]
    return RawClip(frames, masks, f"{clip.name}+{other.name}")
