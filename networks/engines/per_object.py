"""What engines share in which each object is a row of the batch, with a mask of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.configs.models.base import PerObjectConfig
from voskit.networks.engines.batching import Call, Work
from voskit.networks.engines.cached_tensors import constant
from voskit.networks.engines.objects import ObjectSlots, has_objects, resize_labels
from voskit.networks.engines.prediction import ResizedProbabilities
from voskit.networks.engines.protocol import Step
from voskit.networks.memory import MemoryPolicy
from voskit.networks.ops.aggregation import aggregate

STRIDE = 16


class PerObjectEngine(ABC):
    """Segments frame by frame, all objects side by side on the batch axis; the image is encoded once.

    Slots have no gaps: when an object is deleted, those after it move up.

    Args:
        network: has ``encode_image``.
        config: fields of the memory.
        policy: which frames are stored.
    """

    def __init__(self, network: nn.Module, config: PerObjectConfig, policy: MemoryPolicy) -> None:
        self._encode: Any = network.encode_image
        self._policy = policy
        self._background = config.background
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a new video."""
        self._objects = ObjectSlots(1)
        self._frame = 0
        self._last_stored = 0
        self._forget()

    @property
    def object_ids(self) -> list[int]:
        """The users' object ids in the order of their slots."""
        return self._objects.ids

    @property
    def slots(self) -> list[int]:
        """The objects' slots, ascending."""
        return self._objects.slots

    def work(
        self, image_13HW: Tensor, size: tuple[int, int], mask_HW: Tensor | None = None, complete: bool = False
    ) -> Work[Step]:
        """Segment the next frame and remember it; see :class:`~voskit.networks.engines.protocol.Engine`.

        An object that the mask shows is what the mask says, and nothing else: so a correction also takes pixels away.
        """
        given = has_objects(mask_HW, complete and bool(self._objects))
        if not given and not self._objects:
            return Step(None, torch.zeros(size, dtype=torch.int32, device=image_13HW.device))
        image, padding = pad_to_stride(image_13HW)
        features = yield Call(self._encode, (image,))
        stored = given or self._policy.due(self._frame, self._last_stored)
        masks_KHW = self._predict(features, stored) if self._objects else None
        if mask_HW is not None and given:
            before = len(self._objects)
            self._objects.add(mask_HW[mask_HW > 0].unique().tolist())
            slots_HW = self._objects.to_slots(mask_HW)
            said = self.slots if complete else slots_HW.unique().tolist()
            shown = [slot - 1 for slot in said if slot]
            resized = resize_labels(slots_HW, (image_13HW.shape[2], image_13HW.shape[3]))
            masks_KHW = self._take_given(F.pad(resized, padding), shown, masks_KHW)
            self._begin(len(self._objects) - before, features)
        assert masks_KHW is not None
        probabilities = aggregate(masks_KHW, background=self._background or given).softmax(0)
        self._remember(image, features, probabilities[1:], stored, given)
        if stored:
            self._last_stored = self._frame
        self._frame += 1
        left, right, top, bottom = padding
        inside = probabilities[:, top : image.shape[2] - bottom, left : image.shape[3] - right]
        prediction = ResizedProbabilities(inside, self.slots, size)
        return Step(prediction, prediction.argmax())

    def delete_objects(self, ids: Iterable[int]) -> None:
        """Forget objects; an id that isn't there is a ``ValueError``."""
        before = len(self._objects)
        stay = self._objects.delete(ids)
        if not stay:
            self.reset()
        elif len(stay) < before:
            self._keep(stay)

    def _take_given(self, slots_HW: Tensor, shown: list[int], predicted_KHW: Tensor | None) -> Tensor:
        """Masks of all objects: as given of those that the mask shows, else as predicted, but for given pixels."""
        slots = constant(tuple(self.slots), torch.int32, slots_HW.device)
        masks = (slots_HW == slots[:, None, None]).float()
        if predicted_KHW is not None:
            others = [i for i in range(len(predicted_KHW)) if i not in shown]
            merged = aggregate(predicted_KHW, background=self._background).softmax(0)
            masks[others] = merged[1:][others] * (slots_HW == 0)
        return masks

    @abstractmethod
    def _predict(self, features: Any, stored: bool) -> Tensor:
        """Probabilities of each object by itself, [K, H, W]. ``stored``: this frame will enter the memory."""

    @abstractmethod
    def _begin(self, count: int, features: Any) -> None:
        """Begin what is kept of some more objects."""

    @abstractmethod
    def _remember(self, image_13HW: Tensor, features: Any, masks_KHW: Tensor, stored: bool, given: bool) -> None:
        """Take in a frame whose masks are known: one that is to be ``stored``, whose masks were ``given``, or not."""

    @abstractmethod
    def _keep(self, objects: list[int]) -> None:
        """Forget all objects but these, by their places."""

    @abstractmethod
    def _forget(self) -> None:
        """Forget what is kept of all objects."""


def pad_to_stride(image_13HW: Tensor) -> tuple[Tensor, tuple[int, int, int, int]]:
    """Zeros around an image until its sides are multiples of 16, and how many: left, right, top, bottom."""
    height, width = (-side % STRIDE for side in image_13HW.shape[2:])
    padding = (width // 2, width - width // 2, height // 2, height - height // 2)
    return F.pad(image_13HW, padding), padding
