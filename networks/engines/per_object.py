"""Base class of engines in which each object is a row of the batch with its own mask (XMem, JointFormer)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.configs.models.base import PerObjectConfig
from voskit.networks.engines.batching import Call, StepCalls
from voskit.networks.engines.objects import ObjectSlots, has_objects, resize_labels
from voskit.networks.engines.prediction import ResizedProbabilities, constant
from voskit.networks.engines.protocol import Step
from voskit.networks.memory.bank import NO_QUALITY
from voskit.networks.memory.policies import MemoryPolicy, StoredFrame, asks_for
from voskit.networks.ops.aggregation import aggregate

if TYPE_CHECKING:
    from voskit.networks.engines.quality import ObjectQuality
    from voskit.networks.engines.quality.presence import Presence

STRIDE = 16


class PerObjectEngine(ABC):
    """Propagation of one mask per object, with objects on the batch axis; the image is encoded once.

    Slots have no gaps: when an object is deleted, later ones move up.

    Args:
        network: has ``encode_image``.
        config: inference fields.
        policy: selects the frames that are stored.
    """

    def __init__(self, network: nn.Module, config: PerObjectConfig, policy: MemoryPolicy) -> None:
        self._network: Any = network
        self._policy = policy
        self._config = config
        self._background = config.background
        self.reset()

    def reset(self) -> None:
        """Reset the engine: the next frame is the first of a new video."""
        self._objects = ObjectSlots(1)
        self._presence: Presence | None = None
        if self._config.presence_frames is not None:
            from voskit.networks.engines.quality.presence import Presence

            self._presence = Presence.of(self._config)
        self._frame = 0
        self._last_stored = 0
        self._forget()

    @property
    def object_ids(self) -> list[int]:
        """Ids of the objects, in the order of their slots."""
        return self._objects.ids

    @property
    def slots(self) -> list[int]:
        """Slots of the objects, ascending."""
        return self._objects.slots

    def step(
        self, image_13HW: Tensor, size: tuple[int, int], mask_HW: Tensor | None = None, complete: bool = False
    ) -> StepCalls[Step]:
        """Segment the next frame and remember it; see :meth:`voskit.networks.engines.protocol.Engine.step`.

        The mask replaces the prediction of each object in it, so a correction also removes pixels of that object.
        """
        given = has_objects(mask_HW, complete and bool(self._objects))
        if not given and not self._objects:
            return Step(None, torch.zeros(size, dtype=torch.int32, device=image_13HW.device))
        image, padding = pad_to_stride(image_13HW)
        features = yield Call(self._network.encode_image, (image,))
        stored = given or self._policy.due(self._frame, self._last_stored)
        undecided = stored and not given and asks_for(self._policy, "needs_quality")  # place() needs the prediction
        masks_KHW = self._predict(features, stored and not undecided) if self._objects else None
        if mask_HW is not None and given:
            before = len(self._objects)
            self._objects.add(mask_HW[mask_HW > 0].unique().tolist())
            slots_HW = self._objects.to_slots(mask_HW)
            in_mask = self.slots if complete else slots_HW.unique().tolist()
            replaced = [slot - 1 for slot in in_mask if slot]
            resized = resize_labels(slots_HW, (image_13HW.shape[2], image_13HW.shape[3]))
            masks_KHW = self._merge_given(F.pad(resized, padding), replaced, masks_KHW)
            self._begin(len(self._objects) - before, features)
        assert masks_KHW is not None
        if self._presence is not None:
            masks_KHW = self._of_present(masks_KHW, size, given, mask_HW)
        probabilities = aggregate(masks_KHW, background=self._background or given).softmax(0)
        left, right, top, bottom = padding
        inside = probabilities[:, top : image.shape[2] - bottom, left : image.shape[3] - right]
        prediction = ResizedProbabilities(inside, self.slots, size)
        slots_HW = prediction.argmax()
        quality = NO_QUALITY
        if undecided:
            from voskit.networks.engines.quality import predicted_quality

            quality = predicted_quality(prediction, slots_HW, self.object_ids)
            new = StoredFrame(self._frame, False, quality=dict(quality))
            stored = self._policy.place(self._stored_frames(), new) is not None
        self._remember(image, features, probabilities[1:], stored, given, quality)
        if stored:
            self._last_stored = self._frame
        self._frame += 1
        return Step(prediction, slots_HW)

    def delete_objects(self, ids: Iterable[int]) -> None:
        """Delete objects.

        Raises:
            ValueError: an id doesn't exist.
        """
        before = len(self._objects)
        remaining = self._objects.delete(ids)
        if not remaining:
            self.reset()
        elif len(remaining) < before:
            self._keep(remaining)

    def _of_present(self, masks_KHW: Tensor, size: tuple[int, int], given: bool, mask_HW: Tensor | None) -> Tensor:
        """Return masks without absent objects; objects in a given mask are present."""
        assert self._presence is not None
        prediction = ResizedProbabilities(aggregate(masks_KHW).softmax(0), self.slots, size)
        absent = self._presence.judge(prediction, self.object_ids, mask_HW if given else None)
        there = torch.tensor([object_id not in absent for object_id in self.object_ids], device=masks_KHW.device)
        return masks_KHW * there[:, None, None]

    def _merge_given(self, slots_HW: Tensor, replaced: list[int], predicted_KHW: Tensor | None) -> Tensor:
        """Merge given and predicted masks: ``replaced`` objects as given, others as predicted outside given pixels."""
        slots = constant(tuple(self.slots), torch.int32, slots_HW.device)
        masks = (slots_HW == slots[:, None, None]).float()
        if predicted_KHW is not None:
            others = [i for i in range(len(predicted_KHW)) if i not in replaced]
            merged = aggregate(predicted_KHW, background=self._background).softmax(0)
            masks[others] = merged[1:][others] * (slots_HW == 0)
        return masks

    @abstractmethod
    def _predict(self, features: Any, stored: bool) -> Tensor:
        """Predict the probability of each object on its own, [K, H, W].

        Args:
            features: result of ``encode_image``.
            stored: the frame enters the memory. False: it doesn't, or the policy decides by its prediction.
        """

    @abstractmethod
    def _begin(self, count: int, features: Any) -> None:
        """Create the state of ``count`` new objects."""

    @abstractmethod
    def _stored_frames(self) -> Sequence[StoredFrame]:
        """Return the frames in memory; if each object has its own memory, those of the first objects."""

    @abstractmethod
    def _remember(
        self,
        image_13HW: Tensor,
        features: Any,
        masks_KHW: Tensor,
        stored: bool,
        given: bool,
        quality: Mapping[int, ObjectQuality],
    ) -> None:
        """Update memory and states with a frame whose masks are known.

        Args:
            image_13HW: normalized RGB, padded.
            features: result of ``encode_image``.
            masks_KHW: probabilities of the objects.
            stored: the frame enters the memory.
            given: the user gave its mask.
            quality: quality of its objects, for policies that need it.
        """

    @abstractmethod
    def _keep(self, objects: list[int]) -> None:
        """Keep only these objects, given by their rows."""

    @abstractmethod
    def _forget(self) -> None:
        """Clear the memory and the state of all objects."""


def pad_to_stride(image_13HW: Tensor) -> tuple[Tensor, tuple[int, int, int, int]]:
    """Pad an image with zeros to multiples of 16 -> the image, and the padding (left, right, top, bottom)."""
    height, width = (-side % STRIDE for side in image_13HW.shape[2:])
    padding = (width // 2, width - width // 2, height // 2, height - height // 2)
    return F.pad(image_13HW, padding), padding
