"""TensorBoard images of clips with true and predicted masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from voskit.dataloaders.masks.palette import id_colors
from voskit.dataloaders.transforms import IMAGENET_MEAN, IMAGENET_STD

CAPTION_HEIGHT = 16
"""Height of a caption in pixels."""


class Example(Protocol):
    """A video segmented during validation; all frames have the same size."""

    @property
    def name(self) -> str:
        """Name of the video."""
        ...

    @property
    def frames(self) -> Sequence[np.ndarray]:
        """RGB of each frame, H x W x 3 uint8."""
        ...

    @property
    def labels(self) -> Sequence[np.ndarray]:
        """True ids of each frame, H x W."""
        ...

    @property
    def predicted(self) -> Sequence[np.ndarray]:
        """Predicted ids of each frame, H x W."""
        ...

    @property
    def captions(self) -> Sequence[str]:
        """Caption of each frame."""
        ...

    @property
    def figures(self) -> Mapping[str, float]:
        """Figures of the whole video, by their names."""
        ...


def log_examples(log: SummaryWriter, examples: Iterable[Example], step: int) -> None:
    """Write the pictures of a validation's examples and the curves of their figures.

    Args:
        log: the writer.
        examples: videos of the validation.
        step: number of the training step.
    """
    for example in examples:
        frames_THW3, labels_THW, predicted_THW = map(np.stack, (example.frames, example.labels, example.predicted))
        image = masks_preview(frames_THW3, labels_THW, predicted_THW, example.captions)
        log.add_image(f"validation/{example.name}", image, step, dataformats="HWC")
        for name, value in example.figures.items():
            log.add_scalar(f"validation_{name}/{example.name}", value, step)


def clip_preview(frames_T3HW: Tensor, labels_THW: Tensor, predicted_THW: Tensor) -> np.ndarray:
    """Draw a training clip with its true masks, and below that with the predicted masks.

    Args:
        frames_T3HW: normalized RGB.
        labels_THW: object ids. 255 (ignored) is drawn like any other id.
        predicted_THW: object ids.

    Returns:
        uint8 RGB [2 H, T W, 3].
    """
    pixels = frames_T3HW.float().permute(0, 2, 3, 1).cpu().numpy() * IMAGENET_STD + IMAGENET_MEAN
    frames_THW3 = (255 * pixels).round().clip(0, 255)
    return masks_preview(frames_THW3, labels_THW.cpu().numpy(), predicted_THW.cpu().numpy())


def masks_preview(
    frames_THW3: np.ndarray, labels_THW: np.ndarray, predicted_THW: np.ndarray, captions: Sequence[str] = ()
) -> np.ndarray:
    """Draw frames with their true masks, below that with the predicted masks, and below that their captions.

    Args:
        frames_THW3: RGB, 0 to 255.
        labels_THW: object ids.
        predicted_THW: object ids.
        captions: one for each frame, cut off at its width; or none.

    Returns:
        uint8 RGB [2 H, T W, 3]; CAPTION_HEIGHT more rows with captions.
    """
    rows = []
    for ids in (labels_THW, predicted_THW):
        drawn = (frames_THW3 + id_colors(ids).reshape(*ids.shape, 3)) / 2
        shown = np.where((ids > 0)[..., None], drawn, frames_THW3).astype(np.uint8)
        rows.append(np.concatenate(list(shown), axis=1))
    if captions:
        rows.append(np.concatenate([_drawn(text, frames_THW3.shape[2]) for text in captions], axis=1))
    return np.concatenate(rows)


def _drawn(text: str, width: int) -> np.ndarray:
    """Draw a text in white on black, CAPTION_HEIGHT x width x 3."""
    image = Image.new("RGB", (width, CAPTION_HEIGHT))
    ImageDraw.Draw(image).text((3, 2), text, fill="white")
    return np.asarray(image)
