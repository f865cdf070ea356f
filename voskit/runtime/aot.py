"""Propagation of identities with exported graphs of AOT, DeAOT and AOST."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from voskit.runtime.graphs import Graphs
from voskit.runtime.memory import FrameMemory
from voskit.runtime.objects import ObjectSlots, resize_nearest, separate_neighbors
from voskit.runtime.prediction import Prediction, Step, merge_groups, overlay
from voskit.runtime.sessions import Tensors
from voskit.runtime.strays import remove_strays


class Group:
    """Memories of the objects of one group of identities."""

    def __init__(self, long_term: FrameMemory, skip: int) -> None:
        self.long_term = long_term
        self.short_term: deque[Tensors] = deque(maxlen=skip)


class AOTEngine:
    """The state of one video. Each group of identities has its own memory and makes its own calls.

    Args:
        graphs: ``encode``, ``propagate``, ``remember``, ``refer`` and ``resize``.
        gap: number of frames between two in the long-term memory.
        capacity: maximum number of frames in the long-term memory.
    """

    def __init__(self, graphs: Graphs, gap: int, capacity: int) -> None:
        self.graphs = graphs
        self._gap, self._capacity = gap, capacity
        self._manifest = graphs.manifest
        self._input_size = tuple(self._manifest["input_size"])
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a new video."""
        self.objects = ObjectSlots(self._manifest["identities"])
        self._groups: list[Group] = []
        self._frame = 0
        self._shown: np.ndarray | None = None  # slots of the previous frame

    @property
    def memory_frames(self) -> int:
        """Number of frames in the long-term memory of the oldest objects."""
        return len(self._groups[0].long_term) if self._groups else 0

    @property
    def memory_bytes(self) -> int:
        """Number of bytes allocated for the long-term memory."""
        return sum(group.long_term.nbytes for group in self._groups)

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
        features = self.graphs.run("encode", {"image": image})
        prediction: Prediction | None = None
        states: list[Tensors] = []
        if self._groups and (mask is None or not complete):
            prediction, states = self._propagate(features, size)
            slots_HW = prediction.slots_HW()
        probs = prediction.probabilities() if prediction is not None and with_probs else None
        if mask is None:
            self._remember(states, slots_HW)
        else:
            self._add_objects(mask)
            own_HW = resize_nearest(self.objects.to_slots(mask), size)
            slots_HW = own_HW if prediction is None else np.where(own_HW > 0, own_HW, slots_HW)
            self._take_reference(features, slots_HW)
            probs = overlay(probs, own_HW, self.objects.slots) if with_probs else None
        self._frame += 1
        self._shown = slots_HW
        return Step(slots_HW, probs)

    def delete_objects(self, ids: Iterable[int]) -> None:
        """Forget objects, and groups that have none left.

        Raises:
            ValueError: an id that doesn't exist.
        """
        self._shown = None  # slots of other groups may change
        stay = self.objects.delete(ids)
        self._groups = [self._groups[g] for g in stay]
        if not stay:
            self.reset()

    def new_slots(self, mask: np.ndarray) -> int:
        """Return the number of slots once the objects of a mask are added."""
        groups, size = self.objects.groups, self.objects.group_size
        new = len({int(i) for i in np.unique(mask) if i} - set(self.objects.ids))
        return groups * size - self.objects.room + new

    def _add_objects(self, mask: np.ndarray) -> None:
        new = [int(i) for i in np.unique(mask) if i and int(i) not in self.objects.ids]
        if new and self._manifest["neighbors_apart"]:
            new = separate_neighbors(mask, new, self.objects.group_size, self.objects.room)
        self.objects.add(new)

    def _propagate(self, features: Tensors, size: tuple[int, int]) -> tuple[Prediction, list[Tensors]]:
        logits, states = [], []
        for group in self._groups:
            memory = {f"long_{name}" if name != "valid" else name: x for name, x in group.long_term.read().items()}
            short = {f"short_{name}": x for name, x in group.short_term[0].items()}
            out = self.graphs.run("propagate", {**features, **memory, **short})
            logits.append(out.pop("logits"))
            states.append(out)
        slots, identities = self.objects.slots, self.objects.group_size
        if len(logits) == 1:  # the softmax of a single group leaves out unused identities
            places, rows = [(0, row) for row in range(1, len(slots) + 1)], None
            coarse = logits[0][:, [0, *slots]]
        else:
            places, rows = [((s - 1) // identities, 1 + (s - 1) % identities) for s in slots], [0, *slots]
            used = np.zeros((len(logits), 1 + identities), bool)
            used[:, 0] = True
            used[tuple(zip(*places, strict=True))] = True
            coarse = np.where(used[:, :, None, None], np.concatenate(logits), np.float32(-1e10))

        def decided(logits_GKHW: np.ndarray) -> Prediction:
            return Prediction(merge_groups(logits_GKHW, self._manifest["background"]), slots, False, rows)

        distance = self._manifest.get("stray_distance")  # older exports have none
        if distance is not None and self._shown is not None:
            remove_strays(coarse, decided(coarse).slots_HW(), self._shown, slots, places, distance)
        return decided(self.graphs.resize(coarse, size)), states

    def _remember(self, states: list[Tensors], slots_HW: np.ndarray) -> None:
        labels_HW = resize_nearest(slots_HW, self._input_size)
        for i, (group, state) in enumerate(zip(self._groups, states, strict=True)):
            labels = self.objects.identities(labels_HW, i)[None]
            self._keep(group, self.graphs.run("remember", {"labels": labels, **state}), reference=False)

    def _take_reference(self, features: Tensors, slots_HW: np.ndarray) -> None:
        labels_HW = resize_nearest(slots_HW, self._input_size)
        for i in range(self.objects.groups):
            if i == len(self._groups):
                memory = FrameMemory(self._capacity, self._gap, self._manifest["min_memory_frames"])
                self._groups.append(Group(memory, self._manifest["short_term_skip"]))
            labels = self.objects.identities(labels_HW, i)[None]
            self._groups[i].short_term.clear()
            self._keep(self._groups[i], self.graphs.run("refer", {"labels": labels, **features}), reference=True)

    def _keep(self, group: Group, memory: Tensors, reference: bool) -> None:
        """Make a frame the short-term memory of a group, and store it in the long-term memory if it is due."""
        if reference or group.long_term.due(self._frame):
            group.long_term.write(memory, self._frame, reference)
        group.short_term.append(memory)
