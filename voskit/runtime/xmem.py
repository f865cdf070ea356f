"""Propagation of one mask per object with exported graphs of XMem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from voskit.runtime.graphs import Graphs
from voskit.runtime.memory import FrameMemory
from voskit.runtime.objects import ObjectSlots, resize_nearest
from voskit.runtime.prediction import Prediction, Step, aggregate, sigmoid
from voskit.runtime.sessions import Tensors

_SHARED = ("key", "shrinkage")


class XMemEngine:
    """The state of one video: sensory memory and working memory of frames, without prototypes.

    Objects that begin at one frame make a call together, since they read the same frames.

    Args:
        graphs: ``encode``, ``propagate``, ``remember`` and ``resize``.
        gap: number of frames between two in the working memory.
        capacity: largest number of frames in it.
    """

    def __init__(self, graphs: Graphs, gap: int, capacity: int) -> None:
        self.graphs = graphs
        self._gap, self._capacity = gap, capacity
        self._manifest = graphs.manifest
        height, width = self._manifest["image_size"]
        (left, right, top, bottom) = self._manifest["padding"]
        self._image_size = (height, width)
        self._padding = ((top, bottom), (left, right))
        self._inside = np.s_[:, top : top + height, left : left + width]
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a new video."""
        self.objects = ObjectSlots(1)
        self._memory = FrameMemory(self._capacity, self._gap, self._manifest["min_memory_frames"])
        self._begins: list[int] = []
        self._hidden: np.ndarray | None = None
        self._frame = self._last_stored = 0
        self._last_deep: int | None = None

    @property
    def memory_frames(self) -> int:
        """Number of frames in the working memory."""
        return len(self._memory)

    @property
    def memory_bytes(self) -> int:
        """Number of bytes allocated for the working memory."""
        return self._memory.nbytes

    def step(
        self, image: np.ndarray, size: tuple[int, int], mask: np.ndarray | None, complete: bool, with_probs: bool
    ) -> Step:
        """Segment the next frame and remember it.

        Args:
            image: [1, 3, h, w] float32, normalized.
            size: height and width of the output.
            mask: ids that the user gives and that aren't all 0 (unless ``complete``), or None.
            complete: the mask shows all objects.
            with_probs: compute probabilities.
        """
        image = np.pad(image, ((0, 0), (0, 0), *self._padding))
        features = {**self.graphs.run("encode", {"image": image}), "image": image}
        stored = mask is not None or self._frame - self._last_stored >= self._gap
        masks_KHW = self._predict(features, stored) if self.objects else None
        if mask is not None:
            masks_KHW = self._take_mask(mask, complete, masks_KHW)
        assert masks_KHW is not None
        probabilities = aggregate(masks_KHW, self._manifest["background"] or mask is not None)
        if stored:
            self._remember(features, probabilities[1:], mask is not None)
            self._last_stored = self._frame
        self._frame += 1
        resized = self.graphs.resize(np.ascontiguousarray(probabilities[self._inside])[None], size)[0]
        prediction = Prediction(resized, self.objects.slots, True)
        return Step(prediction.slots_HW(), prediction.probabilities() if with_probs else None)

    def delete_objects(self, ids: Iterable[int]) -> None:
        """Forget objects.

        Raises:
            ValueError: an id that doesn't exist.
        """
        before = len(self.objects)
        stay = self.objects.delete(ids)
        if not stay:
            self.reset()
        elif len(stay) < before:
            self._begins = [self._begins[row] for row in stay]
            self._memory.keep_rows("value", stay)
            self._memory.forget_before(min(self._begins))
            if self._hidden is not None:
                self._hidden = self._hidden[stay]

    def new_slots(self, mask: np.ndarray) -> int:
        """Return the number of objects once those of a mask are added."""
        return len(self.objects) + len({int(i) for i in np.unique(mask) if i} - set(self.objects.ids))

    def _predict(self, features: Tensors, stored: bool) -> np.ndarray:
        """Predict the probability of each object on its own, [K, H, W]."""
        logits: list[np.ndarray] = []
        hidden: list[Any] = []
        for own in self._cohorts():
            memory = self._memory.read(self._begins[own.start])
            columns = {f"memory_{name}": memory[name] for name in _SHARED}
            columns |= {"memory_value": memory["value"][own], "valid": memory["valid"]}
            state = {} if self._hidden is None else {"hidden": self._hidden[own]}
            out = self.graphs.run("propagate", {**features, **columns, **state})
            logits.append(out["logits"])
            hidden.append(out.get("new_hidden"))
        # if every memory frame gets a deep update, the decoder updates the sensory memory on all other frames
        if self._hidden is not None and (self._manifest["deep_update_every"] >= 0 or not stored):
            self._hidden = np.concatenate(hidden)
        return sigmoid(np.concatenate(logits))

    def _take_mask(self, mask: np.ndarray, complete: bool, predicted_KHW: np.ndarray | None) -> np.ndarray:
        """Begin the objects of a mask, and merge it with the predictions: objects in the mask are as given."""
        before = len(self.objects)
        self.objects.add(int(i) for i in np.unique(mask) if i)
        slots_HW = self.objects.to_slots(mask)
        replaced = self.objects.slots if complete else np.unique(slots_HW).tolist()
        slots_HW = np.pad(resize_nearest(slots_HW, self._image_size), self._padding)
        masks = (slots_HW == np.array(self.objects.slots)[:, None, None]).astype(np.float32)
        if predicted_KHW is not None:
            others = [row for row in range(before) if row + 1 not in replaced]
            merged = aggregate(predicted_KHW, self._manifest["background"])
            masks[others] = merged[1:][others] * (slots_HW == 0)
        new = len(self.objects) - before
        self._begins += [self._frame] * new
        if self._manifest["hidden_shape"] and new:
            fresh = np.zeros((new, *self._manifest["hidden_shape"]), np.float32)
            self._hidden = fresh if self._hidden is None else np.concatenate([self._hidden, fresh])
        if before and new:
            self._memory.add_rows("value", new)
        return masks

    def _remember(self, features: Tensors, masks_KHW: np.ndarray, given: bool) -> None:
        """Store a frame whose masks are known, with a deep update of the sensory memory if one is due."""
        state = {} if self._hidden is None else {"hidden": self._hidden}
        out = self.graphs.run("remember", {**features, "masks": masks_KHW, **state})
        every = self._manifest["deep_update_every"]
        if every < 0 or self._last_deep is None or self._frame - self._last_deep >= every:
            self._last_deep = self._frame
            self._hidden = out.get("new_hidden", self._hidden)
        columns = {"value": out["value"], **{name: features[name] for name in _SHARED}}
        self._memory.write(columns, self._frame, given)

    def _cohorts(self) -> Iterator[slice]:
        """Iterate over the ranges of objects that began at the same frame."""
        starts = [i for i, begin in enumerate(self._begins) if i == 0 or begin != self._begins[i - 1]]
        for first, last in zip(starts, [*starts[1:], len(self._begins)], strict=True):
            yield slice(first, last)
