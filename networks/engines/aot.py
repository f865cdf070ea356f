"""Engine of AOT, DeAOT and other families that propagate an identity bank through layers."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from voskit.networks.engines.batching import Call, Memories, StepCalls
from voskit.networks.engines.objects import ObjectSlots, has_objects, resize_labels
from voskit.networks.engines.prediction import FrameProbabilities, MaskOverlay, Prediction
from voskit.networks.engines.protocol import Step
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory.bank import NO_QUALITY, Bank, FrameBank, UsageBank
from voskit.networks.memory.policies import EveryNthFrame, MemoryPolicy, asks_for

if TYPE_CHECKING:
    from voskit.configs.models.aot import IdentityBankConfig
    from voskit.networks.engines.quality import ObjectQuality
    from voskit.networks.engines.quality.presence import Presence
    from voskit.networks.memory.informed import Gated
    from voskit.networks.memory.merged_bank import MergedBank
    from voskit.networks.memory.prototype_bank import PrototypeBank
    from voskit.networks.memory.prototypes import PrototypePolicy
    from voskit.networks.models.aot import AOT, Features, Propagated


class AOTEngine:
    """Propagation of identities from frame to frame (AOT, sections 3 and 4).

    Objects that exceed one identity bank form further groups on the batch axis of the same call. Groups that begin at
    the same frame share a memory bank. A group that begins later has its own, since its memory is shorter.

    Args:
        network: an AOT or DeAOT, or a network with the same methods.
        config: inference fields, such as the gap and bound of the memory.
        policy: selects the frames that the long-term memory keeps. Default: every ``long_term_gap``-th.

    Raises:
        ValueError: a policy is given for a memory of prototypes, which has its own rules.
    """

    def __init__(self, network: AOT, config: IdentityBankConfig, policy: MemoryPolicy | None = None) -> None:
        self.network = network
        self.config = config
        self._prototypes: PrototypePolicy | None = None
        if config.enable_long_term:
            from voskit.networks.memory.prototypes import PrototypePolicy

            self._prototypes = PrototypePolicy.of(config, policy)
        self._policy = policy or EveryNthFrame(config.long_term_gap, config.max_memory_frames)
        self.reset()

    def reset(self) -> None:
        """Reset the engine: the next frame is the first of a new video."""
        self._objects = ObjectSlots(self.network.config.max_objects)
        self._banks: list[Bank] = []
        self._short_term: deque[list[MemoryPart]] = deque(maxlen=self.config.short_term_skip)
        self._frame = 0
        self._map_size = (0, 0)
        self._after_cut = False
        self._shown: Tensor | None = None  # slots of the previous frame of this shot, if they are needed
        self._presence: Presence | None = None
        if self.config.presence_frames is not None:
            from voskit.networks.engines.quality.presence import Presence

            self._presence = Presence.of(self.config)
        self._quality: Mapping[int, ObjectQuality] = NO_QUALITY  # of the frame that is being remembered

    @property
    def object_ids(self) -> list[int]:
        """Ids of the objects, in the order of their slots."""
        return self._objects.ids

    @property
    def slots(self) -> list[int]:
        """Slots of the objects, ascending."""
        return self._objects.slots

    @property
    def memory_frames(self) -> int:
        """Number of frames in the long-term memory of the oldest objects."""
        return len(self._banks[0]) if self._banks else 0

    @property
    def memory_bytes(self) -> int:
        """Number of bytes allocated for the long-term memory."""
        return sum(bank.nbytes for bank in self._banks)

    def step(
        self, image_13HW: Tensor, size: tuple[int, int], mask_HW: Tensor | None = None, complete: bool = False
    ) -> StepCalls[Step]:
        """Segment the next frame and remember it; see :meth:`voskit.networks.engines.protocol.Engine.step`."""
        given = has_objects(mask_HW, complete and bool(self._objects))
        if not given and not self._objects:
            return Step(None, torch.zeros(size, dtype=torch.int32, device=image_13HW.device))
        network = self.network
        features: Features = yield Call(network.encode_image, (image_13HW,))
        input_size = (image_13HW.shape[2], image_13HW.shape[3])
        self._map_size = (features.projected.shape[2], features.projected.shape[3])
        prediction: FrameProbabilities | None = None
        if self._objects and not (given and complete):
            logits, propagated = yield from self._propagate(features)
            predicted = Prediction(
                logits.float(), self.slots, size, network.config.align_corners, self.config.background
            )
            if self._presence is not None:
                predicted = self._without_absent(predicted, mask_HW if given else None)
            if self._shown is not None:
                from voskit.networks.engines.quality.strays import without_strays

                assert self.config.stray_distance is not None
                predicted = without_strays(predicted, self._shown, self.config.stray_distance)
            if self.config.vote_in_regions:
                from voskit.networks.engines.quality.voting import voted

                predicted = voted(predicted)
            prediction, slots_HW = predicted, predicted.argmax()
            if not given:
                self._measure(predicted, slots_HW)
                yield from self._remember_predicted(propagated, self._group_labels(slots_HW, input_size))
                self._quality = NO_QUALITY
        if given:
            assert mask_HW is not None
            if self._presence is not None:
                self._presence.give(mask_HW.unique().tolist())
            self._add_objects(mask_HW)
            own_HW = resize_labels(self._objects.to_slots(mask_HW), size)
            slots_HW = own_HW if prediction is None else torch.where(own_HW > 0, own_HW, slots_HW)
            self._take_reference(features, slots_HW, input_size)
            prediction = MaskOverlay(prediction, own_HW, self.slots)
        self._frame += 1
        self._shown = None if self.config.stray_distance is None else slots_HW
        return Step(prediction, slots_HW)

    def _propagate(self, features: Features) -> Generator[Call, Any, tuple[Tensor, Any]]:
        """Predict a frame from the memories -> logits [G, K, h, w], and what ``_remember_predicted`` needs."""
        propagated: Propagated = yield Call(self.network.propagate, (features, *self._memories(features)))
        if self._after_cut:
            self._after_cut = False
            if self._recall(propagated.states[0][0]):
                propagated = yield Call(self.network.propagate, (features, *self._memories(features)))
        logits: Tensor = yield Call(self.network.decode, (propagated, features))
        return logits, propagated

    def _remember_predicted(self, propagated: Any, labels_GHW: Tensor) -> Generator[Call, Any, None]:
        """Remember a predicted frame with these identities of each group."""
        ids: Tensor = yield Call(self.network.encode_ids, (labels_GHW,))
        memory = yield Call(self.network.remember, (propagated.states, ids))
        self._remember(propagated, ids, memory, labels_GHW)

    def cut(self) -> None:
        """Use the frame in long-term memory that is most similar to the next frame as its short-term memory.

        The next frame begins a new shot, in which objects aren't where they were in the previous frame.
        """
        self._after_cut = bool(self._banks)
        self._shown = None

    def delete_objects(self, ids: Iterable[int]) -> None:
        """Delete objects.

        A deleted object's slot isn't reused while its group exists, see :class:`ObjectSlots`. A group without objects
        is dropped with its memory.

        Raises:
            ValueError: an id doesn't exist.
        """
        self._shown = None  # slots of other groups may change
        before = self._objects.groups
        remaining = self._objects.delete(ids)
        if not remaining:
            self.reset()
        elif len(remaining) < before:
            self._keep_groups(remaining)

    def _add_objects(self, mask_HW: Tensor) -> None:
        """Assign identities to the new objects of a mask."""
        known = set(self.object_ids)
        new = [i for i in mask_HW.unique().tolist() if i and i not in known]
        if new and self.config.neighbors_apart:
            from voskit.networks.engines.grouping import separate_neighbors

            new = separate_neighbors(mask_HW, new, self._objects.group_size, self._objects.room)
        self._objects.add(new)

    def _memories(self, features: Features) -> tuple[Memories, list[MemoryPart]]:
        """Return the long-term and the short-term memory of each layer that is run."""
        return Memories(zip(*(bank.read() for bank in self._banks), strict=True)), self._short_term[0]

    def _recall(self, query_GLC: Tensor) -> bool:
        """Make the stored frame that gets the most attention from the first layer's queries the short-term memory.

        These queries don't depend on the memory. Only frames stored for all groups qualify; False: there is none.
        """
        if self._prototypes is not None or self.config.merge_old_memory:
            return False
        from voskit.networks.memory.usage import frame_shares

        stored = self._banks[-1].frame_numbers
        shares = frame_shares([query_GLC], self._banks[-1].read()[:1], len(stored), self.network.config.attention_heads)
        for _, number in sorted(zip(shares, stored, strict=True), reverse=True):
            parts = [bank.memory_of(number) for bank in self._banks]
            if all(part is not None for part in parts):
                layers = zip(*cast("list[list[MemoryPart]]", parts), strict=True)
                self._short_term.clear()
                self._short_term.append([_joined(layer) for layer in layers])
                return True
        return False

    def _take_reference(self, features: Features, slots_HW: Tensor, input_size: tuple[int, int]) -> None:
        """Store a frame whose mask was given, as a reference of all groups and as the first frame of new ones."""
        self._after_cut = False
        ids = self.network.encode_ids(self._group_labels(slots_HW, input_size))
        memory = self.network.remember(self.network.refer(features, ids).states, ids)
        known = sum(bank.groups for bank in self._banks)
        if known < self._objects.groups:
            self._banks.append(self._new_bank())
        self._write(memory, self._banks, reference=True)
        self._short_term.clear()
        self._short_term.append(memory)

    def _without_absent(self, prediction: Prediction, mask_HW: Tensor | None) -> Prediction:
        """Return a prediction without absent objects; objects in a given mask are present."""
        assert self._presence is not None
        absent = self._presence.judge(prediction, self.object_ids, mask_HW)
        gone = [slot for slot, object_id in zip(self.slots, self.object_ids, strict=True) if object_id in absent]
        return prediction.without(gone) if gone else prediction

    def _measure(self, prediction: FrameProbabilities, slots_HW: Tensor) -> None:
        """Measure the quality of a predicted frame's objects if the policy needs it."""
        if asks_for(self._policy, "needs_quality"):
            from voskit.networks.engines.quality import predicted_quality

            self._quality = predicted_quality(prediction, slots_HW, self.object_ids)

    def _remember(self, propagated: Propagated, ids_GLC: Tensor, memory: list[MemoryPart], labels_GHW: Tensor) -> None:
        """Make a predicted frame the short-term memory, and store it in the long-term memory if it is due."""
        if self._prototypes is not None or asks_for(self._policy, "needs_usage"):
            total = self._objects.groups
            for bank, first, last in self._group_ranges():
                # the first entry of a layer's state is its query
                queries = [_rows(state[0], first, last, total) for state in propagated.states]
                cast("UsageBank", bank).count_usage(queries)
        if due := [bank for bank in self._banks if bank.due(self._frame)]:
            partial = asks_for(self._policy, "per_object")
            lasting = self._trusted(propagated, memory, labels_GHW) if partial else memory
            self._write(lasting, due, reference=False, partial=partial)
        self._short_term.append(memory)

    def _trusted(self, propagated: Propagated, memory: list[MemoryPart], labels_GHW: Tensor) -> Sequence[MemoryPart]:
        """Return a frame's memory without the identities of objects that the policy doesn't trust."""
        policy = cast("Gated", self._policy)
        doubted = [
            slot
            for slot, quality in zip(self.slots, self._quality.values(), strict=True)
            if quality.present and not policy.trusts(quality)
        ]
        if not doubted:
            return memory
        labels_GHW, identities = labels_GHW.clone(), self._objects.group_size
        for slot in doubted:
            group, place = divmod(slot - 1, identities)
            labels_GHW[group][labels_GHW[group] == place + 1] = identities + 1  # neither an object nor the background
        return self.network.remember(propagated.states, self.network.encode_ids(labels_GHW))

    def _write(
        self, memory: Sequence[MemoryPart], banks: Sequence[Bank], reference: bool, partial: bool = False
    ) -> None:
        """Write a frame to each of these banks, split by groups."""
        total = self._objects.groups
        for bank, first, last in self._group_ranges():
            if bank in banks:
                own = [MemoryPart(*(_rows(x, first, last, total) for x in part)) for part in memory]
                bank.write(own, self._frame, reference, quality=self._quality, partial=partial)

    def _group_ranges(self) -> Iterator[tuple[Bank, int, int]]:
        """Iterate over the banks with their first group and the one after the last; an empty bank gets the rest."""
        first = 0
        for bank in self._banks:
            last = first + bank.groups if len(bank) else self._objects.groups
            yield bank, first, last
            first = last

    def _new_bank(self) -> Bank:
        """Create a bank of all layers, for groups that begin at one frame."""
        return self._new_plain_bank()

    def _new_plain_bank(self) -> FrameBank | PrototypeBank | MergedBank:
        """Create a bank of frames, merged frames or prototypes, depending on the config."""
        if self._prototypes is None:
            if self.config.merge_old_memory:
                from voskit.networks.memory.merged_bank import MergedBank

                return MergedBank(self._policy, self._map_size)
            return FrameBank(self._policy, heads=self.network.config.attention_heads)
        from voskit.networks.memory.prototype_bank import PrototypeBank

        network = self.network.config
        return PrototypeBank(self._policy, self._prototypes, network.attention_heads, network.trained_positions)

    def _group_labels(self, slots_HW: Tensor, input_size: tuple[int, int]) -> Tensor:
        """Convert slots at the output size to identities of each group at the input size, [G, H, W]."""
        return self._objects.split_groups(resize_labels(slots_HW, input_size))

    def _keep_groups(self, groups: Sequence[int]) -> None:
        """Drop the memory of all groups but these."""
        first, kept = 0, []
        total = sum(bank.groups for bank in self._banks)
        for bank in self._banks:
            last = first + bank.groups
            own = [g - first for g in groups if first <= g < last]
            if own:
                bank.keep_groups(own)
                kept.append(bank)
            first = last
        self._banks = kept
        for memory in self._short_term:
            memory[:] = [MemoryPart(*(keep_rows(x, groups, total) for x in part)) for part in memory]


def keep_rows(x_GLC: Tensor, groups: Sequence[int], total: int) -> Tensor:
    """Select the rows of some groups; a tensor with one row for all groups stays as it is."""
    return x_GLC if len(x_GLC) == 1 < total else x_GLC[list(groups)]


def _joined(parts: Sequence[MemoryPart]) -> MemoryPart:
    """Copy the memories of a frame in several banks into one, with a key for each group."""
    keys = [part.key.expand(len(part.value), -1, -1) for part in parts]
    return MemoryPart(torch.cat(keys), torch.cat([part.value for part in parts]))


def _rows(x_GLC: Tensor, first: int, last: int, total: int) -> Tensor:
    """Select a range of groups; a tensor with one row for all groups stays as it is."""
    return x_GLC if len(x_GLC) == 1 < total else x_GLC[first:last]
