"""Memory bank whose layers may hold different frames, for networks whose depth changes during a video.

Shapes: B id groups, L positions of a frame, M positions of all stored frames of a layer, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory.bank import NO_QUALITY, FrameBank

if TYPE_CHECKING:
    from voskit.networks.engines.quality import ObjectQuality
    from voskit.networks.memory.merged_bank import MergedBank
    from voskit.networks.memory.prototype_bank import PrototypeBank


class LayeredBank:
    """One bank per layer of a network, written and read as one.

    A frame that only the first layers have seen is written to their banks; deeper banks keep their frames, under the
    same policy. The first layer's bank determines the number of frames and which frames are due.

    Args:
        layers: an empty bank for each layer.
    """

    def __init__(self, layers: Sequence[FrameBank | PrototypeBank | MergedBank]) -> None:
        self._layers = list(layers)

    def __len__(self) -> int:
        """Return the number of frames that the first layer holds."""
        return len(self._layers[0])

    @property
    def frames(self) -> list[list[int]]:
        """Numbers of the frames that each layer holds, in order of slots."""
        return [[f.frame for f in bank.frames] for bank in self._layers]

    @property
    def nbytes(self) -> int:
        """Number of allocated bytes."""
        return sum(bank.nbytes for bank in self._layers)

    @property
    def groups(self) -> int:
        """Number of id groups that are served."""
        return self._layers[0].groups

    def due(self, frame: int) -> bool:
        """Return True if the policy wants this predicted frame."""
        return self._layers[0].due(frame)

    def write(
        self,
        layers: Sequence[MemoryPart],
        frame: int,
        reference: bool = False,
        *,
        quality: Mapping[int, ObjectQuality] = NO_QUALITY,
        partial: bool = False,
    ) -> None:
        """Store a frame: key [B or 1, L, C] and value [B, L, C'] of the first ``len(layers)`` layers."""
        for bank, part in zip(self._layers, layers, strict=False):
            bank.write([part], frame, reference, quality=quality, partial=partial)

    def read(self) -> list[Any]:
        """Return keys [B or 1, M, C] and values [B, M, C'] of each layer, as views; M differs between layers."""
        return [part for bank in self._layers for part in bank.read()]

    @property
    def frame_numbers(self) -> list[int]:
        """Numbers of the frames that the first layer holds, in order of slots."""
        return self._layers[0].frame_numbers

    def memory_of(self, frame: int) -> list[MemoryPart] | None:
        """Return keys and values of a stored frame in each layer, as views; None: not all layers hold it."""
        parts = [bank.memory_of(frame) for bank in self._layers]
        return None if any(part is None for part in parts) else [p for part in parts if part for p in part]

    def count_usage(self, queries_BLC: Sequence[Tensor]) -> None:
        """Record a read of the memory by the queries of the layers that were run."""
        for bank, query in zip(self._layers, queries_BLC, strict=False):
            bank.count_usage([query])

    def keep_groups(self, groups: Sequence[int]) -> None:
        """Keep only these id groups, given by their numbers."""
        for bank in self._layers:
            bank.keep_groups(groups)

    def clear(self) -> None:
        """Drop all frames and free the memory."""
        for bank in self._layers:
            bank.clear()
