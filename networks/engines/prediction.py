"""Class probabilities of a frame at the output size, computed in bands of rows.

Probabilities of many objects at a large size are the largest tensor of all (50 objects at 1080p: 420 MB), and usually
only their argmax is needed. So they are computed band by band.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BAND_ELEMENTS = 2**23
"""Maximum number of probabilities in a band."""
COARSE = 4
"""Step of rows and columns at which full maps are sampled for measures of quality."""


class FrameProbabilities(Protocol):
    """Class probabilities of a frame, for any family."""

    size: tuple[int, int]
    slots: list[int]

    def bands(self) -> list[slice]:
        """Return the slices of output rows that are computed at a time."""
        ...

    def probabilities(self, rows: slice | None = None) -> Tensor:
        """Compute [objects + 1, rows, W] float32: the background, then the objects in the order of their slots."""
        ...

    def coarse(self) -> Tensor:
        """Compute ``probabilities`` at about a quarter of the network's input size, for measures of quality."""
        ...


class Prediction:
    """Class probabilities from logits: their softmax, or a merge of several id groups (AOT, section 4.1 ff.).

    Groups are merged at the output size: the background probability is the product of the groups', and object
    probabilities are concatenated. All are clamped to [1e-5, 1 - 1e-5] and converted to logits, followed by a softmax.

    Args:
        logits_GKHW: float32 logits of each group; channel 0 is the background.
        slots: slots of the objects, ascending; other slots have probability 0.
        size: height and width of the output.
        align_corners: convention for resizing the logits.
        background: False if every pixel belongs to an object; the background then has probability 0, and object
            probabilities have no lower clamp.
    """

    def __init__(
        self,
        logits_GKHW: Tensor,
        slots: list[int],
        size: tuple[int, int],
        align_corners: bool,
        background: bool = True,
    ) -> None:
        self.size = size
        self.slots = slots
        self.align_corners = align_corners
        self.background = background
        groups, channels = logits_GKHW.shape[:2]
        if groups == 1:  # the softmax of a single group leaves out unused identities
            self._logits = logits_GKHW.index_select(1, constant((0, *slots), torch.int64, logits_GKHW.device))
        else:
            unused = unused_channels(tuple(slots), groups, channels - 1, logits_GKHW.device)
            self._logits = logits_GKHW.masked_fill(unused, -1e10)

    @property
    def groups(self) -> int:
        """Number of id groups."""
        return len(self._logits)

    def exchanged(self, where_HW: np.ndarray, one: int, other: int) -> Prediction:
        """Return the prediction with two objects' logits exchanged at some positions, for a single group.

        Args:
            where_HW: bool, at the size of ``coarse``.
            one, other: places of the objects among the slots, from 1 on.
        """
        changed = copy.copy(self)
        changed._logits = self._logits.clone()
        where = torch.from_numpy(where_HW).to(self._logits.device)
        changed._logits[0, one] = torch.where(where, self._logits[0, other], self._logits[0, one])
        changed._logits[0, other] = torch.where(where, self._logits[0, one], self._logits[0, other])
        return changed

    def without(self, slots: Collection[int]) -> Prediction:
        """Return the prediction without these objects: their probabilities are 0."""
        other = copy.copy(self)
        other._logits = self._logits.clone()
        for slot in slots:
            other._logits[self._place(slot)] = -1e10
        return other

    def without_at(self, where: Mapping[int, np.ndarray]) -> Prediction:
        """Return the prediction in which objects have probability 0 at some positions.

        Args:
            where: bool maps at the size of ``coarse``, by slot.
        """
        other = copy.copy(self)
        other._logits = self._logits.clone()
        for slot, where_HW in where.items():
            mask = torch.from_numpy(where_HW).to(self._logits.device)
            other._logits[self._place(slot)].masked_fill_(mask, -1e10)
        return other

    def _place(self, slot: int) -> tuple[int, int]:
        """Return the group and the channel of an object's logits."""
        if self.groups == 1:
            return 0, self.slots.index(slot) + 1
        group, identity = divmod(slot - 1, self._logits.shape[1] - 1)
        return group, identity + 1

    def bands(self) -> list[slice]:
        """Return the slices of output rows that are computed at a time."""
        groups, channels = self._logits.shape[:2]
        return _bands(self.size, groups * channels)

    def probabilities(self, rows: slice | None = None) -> Tensor:
        """Compute [objects + 1, rows, W] float32: the background, then the objects in the order of their slots."""
        return self._of_slots(self._decision(rows).softmax(0))

    def coarse(self) -> Tensor:
        """Compute [objects + 1, h, w] float32 at the size of the logits."""
        return self._of_slots(self._classes(self._logits.clone()).softmax(0))

    def argmax(self) -> Tensor:
        """Return the most likely slot of each pixel, [H, W] int32; 0 is the background."""
        out = []
        for rows in self.bands():
            out.append(look_up((0, *self.slots), likeliest(self._of_slots(self._decision(rows)))))
        return out[0] if len(out) == 1 else torch.cat(out)

    def _decision(self, rows: slice | None) -> Tensor:
        """Compute logits over all classes at the output size, merged if there are several groups."""
        return self._classes(resize_rows(self._logits, self.size, self.align_corners, rows))

    def _classes(self, logits_GKHW: Tensor) -> Tensor:
        """Merge the logits of all groups to logits over all classes; a single group's may be changed in place."""
        logits = logits_GKHW[0] if len(logits_GKHW) == 1 else self._merged(logits_GKHW)
        if not self.background:
            logits[0] = -1e10
        return logits

    def _of_slots(self, classes_CHW: Tensor) -> Tensor:
        """Select the background and the objects in the order of their slots; merged groups have unused slots, too."""
        if len(classes_CHW) == len(self.slots) + 1:
            return classes_CHW
        return classes_CHW.index_select(0, constant((0, *self.slots), torch.int64, classes_CHW.device))

    def _merged(self, logits_GKHW: Tensor) -> Tensor:
        """Merge the logits of all groups to [1 + G * max_objects, H, W]."""
        from voskit.networks.ops.aggregation import MIN_PROBABILITY  # few videos have several groups

        p = logits_GKHW.softmax(1)
        merged = torch.cat([p[:, 0].prod(0)[None], p[:, 1:].flatten(0, 1)])
        return merged.clamp_(1e-5 if self.background else MIN_PROBABILITY, 1 - 1e-5).logit_()


class ResizedProbabilities:
    """Class probabilities at the network's size, resized to the output size bilinearly.

    Args:
        probabilities_CHW: the background, then the objects in the order of ``slots``.
        slots: slots of the objects, ascending.
        size: height and width of the output.
    """

    def __init__(self, probabilities_CHW: Tensor, slots: list[int], size: tuple[int, int]) -> None:
        self.size = size
        self.slots = slots
        self._maps = probabilities_CHW.float()

    def bands(self) -> list[slice]:
        """Return the slices of output rows that are computed at a time."""
        return _bands(self.size, len(self._maps))

    def probabilities(self, rows: slice | None = None) -> Tensor:
        """Compute [objects + 1, rows, W] float32: the background, then the objects in the order of their slots."""
        if self._maps.shape[1:] == self.size:
            return self._maps[:, rows or slice(None)].clone()
        return resize_rows(self._maps[None], self.size, False, rows)[0]

    def coarse(self) -> Tensor:
        """Sample [objects + 1, h, w] float32 at every fourth row and column of the network's size."""
        return self._maps[:, ::COARSE, ::COARSE]

    def argmax(self) -> Tensor:
        """Return the most likely slot of each pixel, [H, W] int32; 0 is the background."""
        return torch.cat([look_up((0, *self.slots), likeliest(self.probabilities(rows))) for rows in self.bands()])


class MaskOverlay:
    """Class probabilities with a given mask on top: 0 or 1 at its nonzero pixels.

    Args:
        predicted: probabilities of the earlier objects; None: there were none.
        given_HW: slots of the given mask, 0 elsewhere.
        slots: slots of all objects, ascending; new ones come last.
    """

    def __init__(self, predicted: FrameProbabilities | None, given_HW: Tensor, slots: list[int]) -> None:
        self.size = (given_HW.shape[0], given_HW.shape[1])
        self.slots = slots
        self._predicted = predicted
        self._given = given_HW

    def bands(self) -> list[slice]:
        """Return the slices of output rows that are computed at a time."""
        return _bands(self.size, len(self.slots) + 1)

    def probabilities(self, rows: slice | None = None) -> Tensor:
        """Compute [objects + 1, rows, W] float32: the background, then the objects in the order of their slots."""
        given = self._given if rows is None else self._given[rows]
        return self._overlaid(given, None if self._predicted is None else self._predicted.probabilities(rows))

    def coarse(self) -> Tensor:
        """Compute [objects + 1, h, w] float32 at the coarse size of the prediction."""
        predicted = None if self._predicted is None else self._predicted.coarse()
        height, width = self.size if predicted is None else predicted.shape[1:]
        step = COARSE if predicted is None else 1
        size = (-(-height // step), -(-width // step))
        given = F.interpolate(self._given[None, None].float(), size, mode="nearest")[0, 0].int()
        for slot in set(self._given.unique().tolist()) - set(given.unique().tolist()):  # objects of a few pixels
            y, x = (self._given == slot).nonzero()[0].tolist()
            given[y * size[0] // self.size[0], x * size[1] // self.size[1]] = slot
        return self._overlaid(given, predicted)

    def _overlaid(self, given_HW: Tensor, predicted_KHW: Tensor | None) -> Tensor:
        """Put the given mask on top of probabilities of the same size."""
        classes = constant((0, *self.slots), torch.int32, given_HW.device)
        certain = (given_HW == classes[:, None, None]).float()
        if predicted_KHW is not None:
            before = len(predicted_KHW)
            certain[:before] = torch.where(given_HW > 0, certain[:before], predicted_KHW)
        return certain


def resize_rows(x_BCHW: Tensor, size: tuple[int, int], align_corners: bool, rows: slice | None = None) -> Tensor:
    """Resize maps bilinearly, or compute only some rows of the result."""
    height, width = size
    if rows is None or rows == slice(0, height):
        return F.interpolate(x_BCHW, size, mode="bilinear", align_corners=align_corners)
    source = x_BCHW.shape[2]
    y = torch.arange(rows.start, rows.stop, dtype=torch.float32, device=x_BCHW.device)
    if align_corners:
        y = y * ((source - 1) / max(height - 1, 1))
    else:
        y = ((y + 0.5) * (source / height) - 0.5).clamp_(min=0)
    upper = y.floor().long().clamp_(max=source - 1)
    lower = (upper + 1).clamp_(max=source - 1)
    band = torch.lerp(x_BCHW[:, :, upper], x_BCHW[:, :, lower], (y - upper)[:, None])
    return F.interpolate(band, (len(y), width), mode="bilinear", align_corners=align_corners)


def _bands(size: tuple[int, int], channels: int) -> list[slice]:
    height, width = size
    rows = max(1, BAND_ELEMENTS // (channels * width))
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def average(predictions: Sequence[FrameProbabilities], flipped: list[bool], rows: slice | None = None) -> Tensor:
    """Average the probabilities of several augmentations of a frame; flipped ones are flipped back."""
    total: Tensor | None = None
    for prediction, flip in zip(predictions, flipped, strict=True):
        p = prediction.probabilities(rows)
        p = p.flip(2) if flip else p
        total = p if total is None else total.add_(p)
    assert total is not None
    return total.div_(len(predictions))


def likeliest(scores_KHW: Tensor) -> Tensor:
    """Return the class with the highest score at each pixel, [H, W] int64; of equal ones, the first."""
    return scores_KHW.max(0).indices  # argmax takes ten times as long on a CPU


@lru_cache(maxsize=256)
def constant(values: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return numbers as a tensor that is cached per device. Creating it each frame would force a host-device sync."""
    with torch.inference_mode(False):  # an inference tensor can't be used outside of inference mode
        return torch.tensor(values, dtype=dtype, device=device)


def look_up(table: tuple[int, ...], index_HW: Tensor) -> Tensor:
    """Look up int32 numbers in a table, by an index for each pixel."""
    return constant(table, torch.int32, index_HW.device).index_select(0, index_HW.flatten()).view(index_HW.shape)


@lru_cache(maxsize=16)
def unused_channels(slots: tuple[int, ...], groups: int, identities: int, device: torch.device) -> Tensor:
    """Return a bool mask [G, 1 + identities, 1, 1], True for channels that belong to no slot and not to background."""
    unused = torch.ones(groups, 1 + identities, dtype=torch.bool)
    unused[:, 0] = False
    for slot in slots:
        unused[(slot - 1) // identities, 1 + (slot - 1) % identities] = False
    with torch.inference_mode(False):
        return unused[:, :, None, None].to(device)
