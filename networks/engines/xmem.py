"""The engine of XMem."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from networks.engines.base import Step
from networks.engines.constants import constant
from networks.engines.objects import ObjectSlots, resize_labels
from networks.engines.prediction import ResizedProbabilities
from networks.engines.together import Call, Work
from networks.layers.maps import to_map, to_sequence
from networks.memory import AnisotropicMatching, EveryNthFrame, PrototypeMemory, PrototypePolicy, SensoryMemory
from networks.ops.aggregation import aggregate

if TYPE_CHECKING:
    from configs.models.xmem import XMemFamily
    from networks.models.xmem import ImageFeatures, XMem

STRIDE = 16


class XMemEngine:
    """Segments frame by frame from sensory, working and long-term memory (XMem, section 3.1).

    All objects are rows of the batch axis; the image is encoded once. Slots have no gaps: when an object is deleted,
    those after it move up.

    Args:
        network: an XMem.
        config: fields of the memory.
    """

    def __init__(self, network: XMem, config: XMemFamily) -> None:
        self.network = network
        self.config = config
        policy = EveryNthFrame(config.mem_every, config.max_memory_frames)
        self._memory = PrototypeMemory(AnisotropicMatching(), policy, PrototypePolicy.of(config))
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a new video."""
        self._objects = ObjectSlots(1)
        self._memory.clear()
        self._sensory = SensoryMemory(self.network.config.hidden_dim)
        self._frame = 0
        self._last_stored = 0
        self._last_deep: int | None = None

    @property
    def object_ids(self) -> list[int]:
        """The users' object ids in the order of their slots."""
        return self._objects.ids

    @property
    def slots(self) -> list[int]:
        """The objects' slots, ascending."""
        return self._objects.slots

    @property
    def memory_frames(self) -> int:
        """Number of frames in the working memory."""
        return len(self._memory.frames)

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated for the working and the long-term memory."""
        return self._memory.nbytes

    def work(self, image_13HW: Tensor, size: tuple[int, int], mask_HW: Tensor | None = None) -> Work[Step]:
        """Segment the next frame and remember it; see :class:`~networks.engines.base.Engine`.

        An object that the mask shows is what the mask says, and nothing else: so a correction also takes pixels away.
        """
        given = mask_HW is not None and bool((mask_HW > 0).any())
        if not given and not self._objects:
            return Step(None, torch.zeros(size, dtype=torch.int32, device=image_13HW.device))
        image, padding = pad_to_stride(image_13HW)
        features: ImageFeatures = yield Call(self.network.encode_image, (image,))
        store = given or self._frame - self._last_stored >= self.config.mem_every
        masks_KHW = self._predict(features, stored=store) if self._objects else None
        if mask_HW is not None and given:
            self._objects.add(mask_HW[mask_HW > 0].unique().tolist())
            slots_HW = self._objects.to_slots(mask_HW)
            shown = [slot - 1 for slot in slots_HW.unique().tolist() if slot]
            resized = resize_labels(slots_HW, (image_13HW.shape[2], image_13HW.shape[3]))
            masks_KHW = self._take_given(F.pad(resized, padding), shown, masks_KHW)
            self._sensory.add(len(self._objects) - len(self._memory.begins), features.maps[2])
        assert masks_KHW is not None
        probabilities = aggregate(masks_KHW).softmax(0)
        if store:
            self._remember(image, features, probabilities[1:], given)
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
            self._sensory.keep(stay)
            self._memory.keep_objects(stay)

    def _predict(self, features: ImageFeatures, stored: bool) -> Tensor:
        """Read and decode -> probabilities of each object by itself, [K, H, W]."""
        query = {"key": to_sequence(features.key), "selection": to_sequence(features.selection)}
        readout = to_map(self._memory.read(query, self.config.top_k), (features.key.shape[2], features.key.shape[3]))
        # with deep updates on all memory frames the decoder's take the others
        update = self.config.deep_update_every >= 0 or not stored
        logits, self._sensory.state = self.network.decode(features, readout, self._sensory.state, update)
        return logits.float().sigmoid()

    def _take_given(self, slots_HW: Tensor, shown: list[int], predicted_KHW: Tensor | None) -> Tensor:
        """Masks of all objects: as given of those that the mask shows, else as predicted, but for given pixels."""
        slots = constant(tuple(self.slots), torch.int32, slots_HW.device)
        masks = (slots_HW == slots[:, None, None]).float()
        if predicted_KHW is not None:
            others = [i for i in range(len(predicted_KHW)) if i not in shown]
            masks[others] = aggregate(predicted_KHW).softmax(0)[1:][others] * (slots_HW == 0)
        return masks

    def _remember(self, image_13HW: Tensor, features: ImageFeatures, masks_KHW: Tensor, given: bool) -> None:
        """Write a frame into the working memory, with a deep update of the sensory memory where it is time for one."""
        every = self.config.deep_update_every
        deep = every < 0 or self._last_deep is None or self._frame - self._last_deep >= every
        if deep:
            self._last_deep = self._frame
        value, self._sensory.state = self.network.encode_value(
            image_13HW, features, masks_KHW, self._sensory.state, deep
        )
        columns = {"value": value, **{n: getattr(features, n) for n in ("key", "shrinkage", "selection")}}
        self._memory.write({n: to_sequence(x) for n, x in columns.items()}, self._frame, given)
        self._last_stored = self._frame


def pad_to_stride(image_13HW: Tensor) -> tuple[Tensor, tuple[int, int, int, int]]:
    """Zeros around an image until its sides are multiples of 16, and how many: left, right, top, bottom."""
    height, width = (-side % STRIDE for side in image_13HW.shape[2:])
    padding = (width // 2, width - width // 2, height // 2, height - height // 2)
    return F.pad(image_13HW, padding), padding
