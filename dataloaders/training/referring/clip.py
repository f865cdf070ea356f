"""Training clips with text prompts and batches of them (ReferFormer)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from voskit.dataloaders.training.clip import RawClip, finish

_MULTIPLE = 32  # largest stride of the backbones
_OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass
class ReferringClip:
    """Training clip: T frames of H x W pixels, with a text prompt and the masks of its object.

    Attributes:
        frames: [T, 3, H, W] float32, RGB normalized by the mean and standard deviation of ImageNet.
        masks: [T, H, W] bool, the object of the text prompt.
        boxes: [T, 4] float32, see ``boxes_of``.
        valid: [T] bool, True for frames whose box isn't empty.
        caption: the text prompt.
        name: origin of the clip, for messages.
    """

    frames: Tensor
    masks: Tensor
    boxes: Tensor
    valid: Tensor
    caption: str
    name: str


@dataclass
class ReferringBatch:
    """Batch of B clips of T frames, padded to a common size H x W. ``len`` is B.

    Attributes:
        frames_TB3HW: float32, normalized, padded with zeros on the right and at the bottom.
        masks_TBHW: bool, padded with False.
        boxes_TB4: float32, fractions of the clip's size without padding.
        valid_TB: bool.
        sizes_B2: int64, height and width of each clip without padding.
        captions: the text prompts.
        names: origins of the clips.
    """

    frames_TB3HW: Tensor
    masks_TBHW: Tensor
    boxes_TB4: Tensor
    valid_TB: Tensor
    sizes_B2: Tensor
    captions: list[str]
    names: list[str]

    def __len__(self) -> int:
        return len(self.captions)

    def to(self, device: torch.device | str) -> ReferringBatch:
        """Copy the batch to a device, asynchronously if it is in pinned memory."""
        return self._with_tensors(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> ReferringBatch:
        """Copy the batch to page-locked memory; called by a ``DataLoader`` with ``pin_memory``."""
        return self._with_tensors(lambda tensor: tensor.pin_memory())

    def part(self, clips: slice) -> ReferringBatch:
        """Return some of the clips, at the padded size of the whole batch."""
        return ReferringBatch(
            self.frames_TB3HW[:, clips],
            self.masks_TBHW[:, clips],
            self.boxes_TB4[:, clips],
            self.valid_TB[:, clips],
            self.sizes_B2[clips],
            self.captions[clips],
            self.names[clips],
        )

    def _with_tensors(self, change: Callable[[Tensor], Tensor]) -> ReferringBatch:
        return replace(
            self,
            frames_TB3HW=change(self.frames_TB3HW),
            masks_TBHW=change(self.masks_TBHW),
            boxes_TB4=change(self.boxes_TB4),
            valid_TB=change(self.valid_TB),
            sizes_B2=change(self.sizes_B2),
        )


def finish_referring(
    frames: Sequence[np.ndarray], masks: Sequence[np.ndarray], caption: str, name: str
) -> ReferringClip:
    """Normalize the frames of a clip and add boxes.

    Args:
        frames: each H x W x 3 uint8 RGB.
        masks: each H x W bool.
        caption, name: see ``ReferringClip``.
    """
    clip = finish(RawClip(list(frames), [mask.astype(np.uint16) for mask in masks], name), np.array([1]))
    regions = clip.labels == 1
    return ReferringClip(clip.frames, regions, *boxes_of(regions), caption, name)


def boxes_of(masks_THW: Tensor) -> tuple[Tensor, Tensor]:
    """Return boxes around masks, from the index of the first pixel to that of the last one, not one beyond it.

    Args:
        masks_THW: bool.

    Returns:
        [T, 4] float32 (center x, center y, width, height) as fractions of the width and height of the frame, zeros
        without an object; and [T] bool, False if the box has no width or height, as for a single row of pixels.
    """
    height, width = masks_THW.shape[1:]
    left, right = _first_and_last(masks_THW.any(1))
    top, bottom = _first_and_last(masks_THW.any(2))
    valid = (right > left) & (bottom > top)
    boxes = torch.stack(((left + right) / 2, (top + bottom) / 2, right - left, bottom - top), dim=1)
    shares = boxes / torch.tensor((width, height, width, height))
    return torch.where(valid[:, None], shares, 0.0), valid


def _first_and_last(hit_TN: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and last index of True in each row; if there is none, the last is less than the first."""
    count = hit_TN.shape[1]
    index = torch.arange(count)
    return torch.where(hit_TN, index, count).amin(1), torch.where(hit_TN, index, -1).amax(1)


def collate_referring(clips: Sequence[ReferringClip]) -> ReferringBatch:
    """Batch clips of equal length, time first, padded to the largest height and width in multiples of 32."""
    sizes = torch.tensor([clip.masks.shape[1:] for clip in clips])
    height, width = (-(-int(side) // _MULTIPLE) * _MULTIPLE for side in sizes.amax(0))
    length = len(clips[0].frames)
    frames = torch.zeros(length, len(clips), 3, height, width)
    masks = torch.zeros(length, len(clips), height, width, dtype=torch.bool)
    for place, clip in enumerate(clips):
        h, w = clip.masks.shape[1:]
        frames[:, place, :, :h, :w] = clip.frames
        masks[:, place, :h, :w] = clip.masks
    boxes = torch.stack([clip.boxes for clip in clips], dim=1)
    valid = torch.stack([clip.valid for clip in clips], dim=1)
    return ReferringBatch(
        frames, masks, boxes, valid, sizes, [clip.caption for clip in clips], [clip.name for clip in clips]
    )


def mirrored_caption(text: str) -> str:
    """Adapt a text prompt in lower case to a mirrored image: swap "left" and "right", also inside words."""
    return re.sub("left|right", lambda found: _OTHER_SIDE[found[0]], text)
