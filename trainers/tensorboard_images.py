"""TensorBoard images of training clips."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from voskit.dataloaders.masks.palette import id_colors
from voskit.dataloaders.transforms import IMAGENET_MEAN, IMAGENET_STD


def clip_preview(frames_T3HW: Tensor, labels_THW: Tensor, predicted_THW: Tensor) -> np.ndarray:
    """Draw a clip with its true masks, and below with the predicted masks.

    Args:
        frames_T3HW: normalized RGB.
        labels_THW: object ids. 255 (ignored) is drawn like any other id.
        predicted_THW: object ids.

    Returns:
        uint8 RGB [2 H, T W, 3].
    """
    pixels = frames_T3HW.float().permute(0, 2, 3, 1).cpu().numpy() * IMAGENET_STD + IMAGENET_MEAN
    frames_THW3 = (255 * pixels).round().clip(0, 255)
    rows = []
    for masks_THW in (labels_THW, predicted_THW):
        ids = masks_THW.cpu().numpy()
        drawn = (frames_THW3 + id_colors(ids).reshape(*ids.shape, 3)) / 2
        shown = np.where((ids > 0)[..., None], drawn, frames_THW3).astype(np.uint8)
        rows.append(np.concatenate(list(shown), axis=1))
    return np.concatenate(rows)
