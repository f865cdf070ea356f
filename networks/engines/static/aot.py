"""Engine of AOT, DeAOT and AOST with memory of a fixed size, for compiled networks."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from voskit.networks.engines.aot import AOTEngine
from voskit.networks.engines.batching import Call, Memories
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory.policies import MemoryPolicy
from voskit.networks.memory.static import StaticBank, check_static

if TYPE_CHECKING:
    from voskit.configs.models.aot import IdentityBankConfig
    from voskit.networks.models.aot import AOT, Features, Propagated


class StaticAOTEngine(AOTEngine):
    """An :class:`AOTEngine` whose network calls have the same shapes on every frame.

    Each id group has its own memory of a fixed capacity and makes its own calls, so adding or deleting objects and
    groups doesn't change shapes. The image is still encoded once. Results are those of :class:`AOTEngine`.

    Args:
        network: an AOT, DeAOT or AOST; an AOST runs all layers that it was built with.
        config: inference fields.
        policy: as in :class:`AOTEngine`; its bound is the capacity.

    Raises:
        ValueError: the memory has prototypes, so no fixed size, or the policy decides by more than frame numbers.
    """

    network_calls: ClassVar[tuple[str, ...]] = (
        "encode_image",
        "encode_ids",
        "propagate",
        "refer",
        "remember",
        "decode",
    )
    """Methods of the network that the engine calls."""

    def __init__(self, network: AOT, config: IdentityBankConfig, policy: MemoryPolicy | None = None) -> None:
        check_static(config, policy)
        if config.merge_old_memory:
            raise ValueError("static_memory holds whole frames: set merge_old_memory=False")
        super().__init__(network, config, policy)

    def reset(self) -> None:
        """Reset the engine: the next frame is the first of a new video."""
        super().reset()
        self._groups_short_term: list[deque[list[MemoryPart]]] = []

    def _propagate(self, features: Features) -> Generator[Call, Any, tuple[Tensor, Any]]:
        network, logits, propagated = self.network, [], []
        for bank, short_term in zip(self._banks, self._groups_short_term, strict=True):
            memory = Memories([part] for part in bank.read())
            own: Propagated = yield Call(network.propagate, (features, memory, short_term[0]))
            logits.append((yield Call(network.decode, (own, features))))
            propagated.append(own)
        return torch.cat(logits), propagated

    def _remember_predicted(self, propagated: Any, labels_GHW: Tensor) -> Generator[Call, Any, None]:
        for i, own in enumerate(propagated):
            ids = yield Call(self.network.encode_ids, (labels_GHW[i : i + 1],))
            memory = yield Call(self.network.remember, (own.states, ids))
            self._keep(i, memory, reference=False)

    def _take_reference(self, features: Features, slots_HW: Tensor, input_size: tuple[int, int]) -> None:
        labels_GHW = self._group_labels(slots_HW, input_size)
        for i in range(self._objects.groups):
            if i == len(self._banks):
                self._banks.append(StaticBank(self._policy))
                self._groups_short_term.append(deque(maxlen=self.config.short_term_skip))
            ids = self.network.encode_ids(labels_GHW[i : i + 1])
            memory = self.network.remember(self.network.refer(features, ids).states, ids)
            self._groups_short_term[i].clear()
            self._keep(i, memory, reference=True)

    def _keep(self, group: int, memory: Sequence[MemoryPart], reference: bool) -> None:
        """Make a frame the short-term memory of a group, and store it in the long-term memory if it is due."""
        bank = self._banks[group]
        if reference or bank.due(self._frame):
            bank.write(memory, self._frame, reference)
        # contiguous, so that compiled code sees only one layout
        parts = [MemoryPart(part.key.contiguous(), part.value.contiguous()) for part in memory]
        self._groups_short_term[group].append(parts)

    def _keep_groups(self, groups: Sequence[int]) -> None:
        self._banks = [self._banks[g] for g in groups]
        self._groups_short_term = [self._groups_short_term[g] for g in groups]
