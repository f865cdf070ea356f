"""The engine of AOT and of families that propagate identities through layers in the same way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from voskit.networks.engines.batching import Call, Memories, Work
from voskit.networks.engines.grouping import keep_apart
from voskit.networks.engines.objects import ObjectSlots, has_objects, resize_labels
from voskit.networks.engines.prediction import FrameProbabilities, GivenOver, Prediction
from voskit.networks.engines.protocol import Step
from voskit.networks.memory import (
    EveryNthFrame,
    FrameBank,
    LayeredBank,
    MemoryPart,
    MemoryPolicy,
    PrototypeBank,
    PrototypePolicy,
)

if TYPE_CHECKING:
    from voskit.configs.models.aot import IdentityBankConfig
    from voskit.networks.models.aot import AOT, Features, Propagated

Bank = FrameBank | LayeredBank | PrototypeBank


class AOTEngine:
    """Propagates identities from frame to frame (AOT, sections 3 and 4).

    Objects beyond one identity bank are further groups on the batch axis of the same call. Groups that begin at the
    same frame share a memory bank; a group that begins later has one of its own, since its memory is shorter.

    Args:
        network: an AOT or DeAOT.
        config: gap, skip and bound of the memory.
        policy: which frames the long-term memory holds; None: every ``long_term_gap``-th.
    """

    def __init__(self, network: AOT, config: IdentityBankConfig, policy: MemoryPolicy | None = None) -> None:
        self.network = network
        self.config = config
        self._policy = policy or EveryNthFrame(config.long_term_gap, config.max_memory_frames)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a new video."""
        self._objects = ObjectSlots(self.network.config.max_objects)
        self._banks: list[Bank] = []
        self._short_term: deque[list[MemoryPart]] = deque(maxlen=self.config.short_term_skip)
        self._frame = 0

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
        """Number of frames in the long-term memory of the oldest objects."""
        return len(self._banks[0]) if self._banks else 0

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated for the long-term memory."""
        return sum(bank.nbytes for bank in self._banks)

    def work(
        self, image_13HW: Tensor, size: tuple[int, int], mask_HW: Tensor | None = None, complete: bool = False
    ) -> Work[Step]:
        """Segment the next frame and remember it; see :class:`~voskit.networks.engines.protocol.Engine`."""
        given = has_objects(mask_HW, complete and bool(self._objects))
        if not given and not self._objects:
            return Step(None, torch.zeros(size, dtype=torch.int32, device=image_13HW.device))
        network = self.network
        features: Features = yield Call(network.encode_image, (image_13HW,))
        input_size = (image_13HW.shape[2], image_13HW.shape[3])
        prediction: FrameProbabilities | None = None
        if self._objects and not (given and complete):
            propagated: Propagated = yield Call(network.propagate, (features, *self._memories(features)))
            logits: Tensor = yield Call(network.decode, (propagated, features))
            predicted = Prediction(
                logits.float(), self.slots, size, network.config.align_corners, self.config.background
            )
            prediction, slots_HW = predicted, predicted.argmax()
            if not given:
                ids: Tensor = yield Call(network.encode_ids, (self._group_labels(slots_HW, input_size),))
                memory = yield Call(network.remember, (propagated.states, ids))
                self._remember(propagated, ids, memory)
        if given:
            assert mask_HW is not None
            self._add_objects(mask_HW)
            own_HW = resize_labels(self._objects.to_slots(mask_HW), size)
            slots_HW = own_HW if prediction is None else torch.where(own_HW > 0, own_HW, slots_HW)
            self._take_reference(features, slots_HW, input_size)
            prediction = GivenOver(prediction, own_HW, self.slots)
        self._frame += 1
        return Step(prediction, slots_HW)

    def delete_objects(self, ids: Iterable[int]) -> None:
        """Forget objects; an id that isn't there is a ``ValueError``.

        A deleted object's slot isn't given again while its group lives, see :class:`ObjectSlots`; a group that is left
        without objects is dropped with its memory.
        """
        before = self._objects.groups
        stay = self._objects.delete(ids)
        if not stay:
            self.reset()
        elif len(stay) < before:
            self._keep_groups(stay)

    def _add_objects(self, mask_HW: Tensor) -> None:
        """Give identities to the objects of a mask that are new."""
        known = set(self.object_ids)
        new = [i for i in mask_HW.unique().tolist() if i and i not in known]
        if new and self.config.neighbors_apart:
            new = keep_apart(mask_HW, new, self._objects.group_size, self._objects.room)
        self._objects.add(new)

    def _memories(self, features: Features) -> tuple[Memories, list[MemoryPart]]:
        """What the network propagates from: long-term and short-term memory of each layer that is run."""
        return Memories(zip(*(bank.read() for bank in self._banks), strict=True)), self._short_term[0]

    def _take_reference(self, features: Features, slots_HW: Tensor, input_size: tuple[int, int]) -> None:
        """Make a frame whose mask was given a further reference of all groups, and the first one of new groups."""
        ids = self.network.encode_ids(self._group_labels(slots_HW, input_size))
        memory = self.network.remember(self.network.refer(features, ids).states, ids)
        known = sum(bank.groups for bank in self._banks)
        if known < self._objects.groups:
            self._banks.append(self._new_bank())
        self._write(memory, self._banks, reference=True)
        self._short_term.clear()
        self._short_term.append(memory)

    def _remember(self, propagated: Propagated, ids_GLC: Tensor, memory: list[MemoryPart]) -> None:
        """Make a predicted frame the newest short-term memory, and a long-term one where its time has come."""
        read = [MemoryPart(state[0], part.value) for state, part in zip(propagated.states, memory, strict=True)]
        for bank, own in self._shares(read):
            bank.note_read([part.key for part in own])
        self._write(memory, [bank for bank in self._banks if bank.due(self._frame)], reference=False)
        self._short_term.append(memory)

    def _write(self, memory: Sequence[MemoryPart], banks: Sequence[Bank], reference: bool) -> None:
        """Write each of these banks' share of the groups."""
        for bank, own in self._shares(memory):
            if bank in banks:
                bank.write(own, self._frame, reference)

    def _shares(self, memory: Sequence[MemoryPart]) -> Iterator[tuple[Bank, list[MemoryPart]]]:
        """Each bank's share of the groups; a bank that is still empty takes the groups that are left."""
        total = self._objects.groups
        first = 0
        for bank in self._banks:
            last = first + bank.groups if len(bank) else total
            yield bank, [MemoryPart(*(_rows(x, first, last, total) for x in part)) for part in memory]
            first = last

    def _new_bank(self) -> Bank:
        """A bank for all layers of groups that begin together."""
        return self._new_plain_bank()

    def _new_plain_bank(self) -> FrameBank | PrototypeBank:
        """A bank of frames, and of prototypes where the config wants them."""
        prototypes = PrototypePolicy.of(self.config)
        if prototypes is None:
            return FrameBank(self._policy)
        network = self.network.config
        return PrototypeBank(self._policy, prototypes, network.attention_heads, network.trained_positions)

    def _group_labels(self, slots_HW: Tensor, input_size: tuple[int, int]) -> Tensor:
        """Slots at the output size -> identities of each group at the input size, [G, H, W]."""
        return self._objects.split_groups(resize_labels(slots_HW, input_size))

    def _keep_groups(self, stay: Sequence[int]) -> None:
        """Drop the memory of all groups but these."""
        first, kept = 0, []
        total = sum(bank.groups for bank in self._banks)
        for bank in self._banks:
            last = first + bank.groups
            own = [g - first for g in stay if first <= g < last]
            if own:
                bank.keep_groups(own)
                kept.append(bank)
            first = last
        self._banks = kept
        for memory in self._short_term:
            memory[:] = [MemoryPart(*(keep_rows(x, stay, total) for x in part)) for part in memory]


def keep_rows(x_GLC: Tensor, groups: Sequence[int], total: int) -> Tensor:
    """Only these groups' rows of a tensor that has a row for each group or one for all."""
    return x_GLC if len(x_GLC) == 1 < total else x_GLC[list(groups)]


def _rows(x_GLC: Tensor, first: int, last: int, total: int) -> Tensor:
    """Some groups' rows of a tensor that has a row for each group or one for all."""
    return x_GLC if len(x_GLC) == 1 < total else x_GLC[first:last]
