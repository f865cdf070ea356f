"""Memory bank whose old frames become prototypes, for families that read memory by attention in layers.

Shapes: B id groups, L positions of a frame, M elements, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory.bank import NO_QUALITY
from voskit.networks.memory.matching import DotProductMatching
from voskit.networks.memory.policies import MemoryPolicy, StoredFrame
from voskit.networks.memory.prototypes import PrototypeMemory, PrototypePolicy
from voskit.networks.ops.attention import sharpness

if TYPE_CHECKING:
    from voskit.networks.engines.quality import ObjectQuality


class PrototypeBank:
    """A bank with the long-term memory of XMem in each layer.

    Each layer tracks how much its own attention, averaged over heads, uses the elements, and picks its own prototypes.

    Args:
        policy: decides which frames are stored.
        prototypes: decides when frames become prototypes.
        heads: attention heads.
        trained_positions: see ``voskit.networks.ops.sharpness``.
        block: minimum number of frames by which the allocation grows.
    """

    def __init__(
        self,
        policy: MemoryPolicy,
        prototypes: PrototypePolicy,
        heads: int,
        trained_positions: int | None = None,
        block: int = 4,
    ) -> None:
        self.policy = policy
        self.prototypes = prototypes
        self.heads = heads
        self.trained_positions = trained_positions
        self.block = block
        self._layers: list[PrototypeMemory] = []

    def __len__(self) -> int:
        """Return the number of stored frames."""
        return len(self.frames)

    @property
    def frames(self) -> list[StoredFrame]:
        """Frames stored at full length."""
        return self._layers[0].frames if self._layers else []

    @property
    def nbytes(self) -> int:
        """Number of allocated bytes."""
        return sum(layer.nbytes for layer in self._layers)

    @property
    def groups(self) -> int:
        """Number of id groups that are served."""
        return len(self._layers[0].begins) if self._layers else 0

    def due(self, frame: int) -> bool:
        """Return True if the policy wants this predicted frame."""
        return self.policy.due(frame, max(f.frame for f in self.frames))

    def write(
        self,
        layers: Sequence[MemoryPart],
        frame: int,
        reference: bool = False,
        *,
        quality: Mapping[int, ObjectQuality] = NO_QUALITY,
        partial: bool = False,
    ) -> None:
        """Store a frame; see :meth:`voskit.networks.memory.bank.Bank.write`. Quality is not used."""
        if not self._layers:
            matching = DotProductMatching(self.heads)
            self._layers = [PrototypeMemory(matching, self.policy, self.prototypes, self.block) for _ in layers]
        for memory, part in zip(self._layers, layers, strict=True):
            memory.write({"key": part.key, "value": part.value}, frame, reference)

    def read(self) -> list[MemoryPart]:
        """Return keys [B or 1, M, C] and values [B, M, C'] of each layer, as views, prototypes first."""
        return [MemoryPart(layer["key"], layer["value"]) for layer in self._layers]

    @property
    def frame_numbers(self) -> list[int]:
        """Numbers of the frames stored at full length."""
        return [frame.frame for frame in self.frames]

    def memory_of(self, frame: int) -> list[MemoryPart] | None:
        """Return None: layers hold different elements."""
        return None

    def count_usage(self, queries_BLC: Sequence[Tensor]) -> None:
        """Record a read of the memory by the queries of each layer."""
        for memory, query in zip(self._layers, queries_BLC, strict=True):
            memory.count_usage({"key": query * sharpness(memory["key"].shape[1], self.trained_positions)})

    def keep_groups(self, groups: Sequence[int]) -> None:
        """Keep only these id groups, given by their numbers."""
        for memory in self._layers:
            memory.keep_objects(groups)

    def clear(self) -> None:
        """Drop everything and free the memory."""
        self._layers = []
