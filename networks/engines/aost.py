"""Engine of AOST, whose depth may change during a video."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from voskit.networks.engines.aot import AOTEngine, keep_rows
from voskit.networks.engines.batching import Memories
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory.layered import LayeredBank
from voskit.networks.memory.policies import MemoryPolicy

if TYPE_CHECKING:
    from voskit.configs.models.aost import AOSTConfig
    from voskit.networks.models.aost import AOST
    from voskit.networks.models.aot import Features, Propagated


class Tail(NamedTuple):
    """Input for deeper layers of a frame that only the first layers have seen."""

    hidden: Tensor
    """Output of the last layer that was run, [G, L, C]."""
    ids: Tensor
    """Identity embedding of the frame's mask, [G, L, C]."""


class AOSTEngine(AOTEngine):
    """An :class:`AOTEngine` that runs the first ``depth`` layers of its network; the depth may change.

    Reference frames always run all layers, which doesn't change the results of the first ones. So deeper layers have
    seen every object's given mask, and the depth can be raised at any frame. The memory of layers that weren't run
    lacks predicted frames. When these layers are run again, their short-term memory is computed from the previous
    frame's tail (:meth:`AOST.deepen`); the gaps in their long-term memory remain.

    Args:
        network: an AOST.
        config: inference fields, such as the gap and bound of the memory. Default: the network's config.
        policy: see :class:`AOTEngine`.
    """

    network: AOST

    def __init__(self, network: AOST, config: AOSTConfig | None = None, policy: MemoryPolicy | None = None) -> None:
        self.depth = network.config.depths[-1]
        super().__init__(network, config or network.config, policy)

    def reset(self) -> None:
        """Reset everything but the depth."""
        super().reset()
        self._tails: deque[Tail | None] = deque(maxlen=self._short_term.maxlen)

    def set_depth(self, depth: int) -> None:
        """Run ``depth`` layers from the next frame on; see :class:`~voskit.networks.engines.protocol.DepthChoice`."""
        depths = self.network.config.depths
        if depth not in depths:
            raise ValueError(f"depth {depth} is not available: this network was built with {depths[-1]} layers")
        self.depth = depth

    def _new_bank(self) -> LayeredBank:
        return LayeredBank([self._new_plain_bank() for _ in range(self.network.config.depths[-1])])

    def _memories(self, features: Features) -> tuple[Memories, list[MemoryPart]]:
        short_term, tail = self._short_term[0], self._tails[0]
        if len(short_term) < self.depth:
            assert tail is not None
            size = (features.projected.shape[2], features.projected.shape[3])
            deeper, hidden = self.network.deepen(tail.hidden, tail.ids, size, range(len(short_term), self.depth))
            short_term.extend(deeper)
            self._tails[0] = tail._replace(hidden=hidden)
        long_term, short_term = super()._memories(features)
        return Memories(long_term[: self.depth]), short_term[: self.depth]

    def _take_reference(self, features: Features, slots_HW: Tensor, input_size: tuple[int, int]) -> None:
        super()._take_reference(features, slots_HW, input_size)
        self._tails.clear()
        self._tails.append(None)

    def _remember(self, propagated: Propagated, ids_GLC: Tensor, memory: list[MemoryPart], labels_GHW: Tensor) -> None:
        super()._remember(propagated, ids_GLC, memory, labels_GHW)
        whole = len(propagated.states) == self.network.config.depths[-1]
        assert propagated.hidden is not None
        self._tails.append(None if whole else Tail(propagated.hidden, ids_GLC))

    def _keep_groups(self, groups: Sequence[int]) -> None:
        total = sum(bank.groups for bank in self._banks)
        super()._keep_groups(groups)
        for i, tail in enumerate(self._tails):
            self._tails[i] = None if tail is None else Tail(*(keep_rows(x, groups, total) for x in tail))
