"""A memory bank whose layers may hold different frames.

Shapes: B id groups, L positions of a frame, M positions of all stored frames of a layer, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from voskit.networks.memory.bank import FrameBank, MemoryPart
from voskit.networks.memory.prototype_bank import PrototypeBank


class LayeredBank:
    """A bank for each layer of a network, written and read as one.

    A frame that only the first layers have seen is written to these alone; deeper ones keep what they have, by the same
    policy. Frames are counted and stored frames are due by what the first layer holds.

    Args:
        layers: an empty bank for each layer.
    """

    def __init__(self, layers: Sequence[FrameBank | PrototypeBank]) -> None:
        self._layers = list(layers)

    def __len__(self) -> int:
        """Number of frames that the first layer holds."""
        return len(self._layers[0])

    @property
    def frames(self) -> list[list[int]]:
        """Numbers of the frames that each layer holds, in order of slots."""
        return [[f.frame for f in bank.frames] for bank in self._layers]

    @property
    def nbytes(self) -> int:
        """Bytes that are allocated."""
        return sum(bank.nbytes for bank in self._layers)

    @property
    def groups(self) -> int:
        """Number of id groups that are served."""
        return self._layers[0].groups

    def due(self, frame: int) -> bool:
        """Whether the policy wants this predicted frame."""
        return self._layers[0].due(frame)

    def write(self, layers: Sequence[MemoryPart], frame: int, reference: bool = False) -> None:
        """Store a frame: key [B or 1, L, C] and value [B, L, C'] of the first ``len(layers)`` layers."""
        for bank, part in zip(self._layers, layers, strict=False):
            bank.write([part], frame, reference)

    def read(self) -> list[MemoryPart]:
        """Views of keys [B or 1, M, C] and values [B, M, C'] of each layer; M is the layer's own."""
        return [part for bank in self._layers for part in bank.read()]

    def note_read(self, queries_BLC: Sequence[Tensor]) -> None:
        """Tell the layers that were run what a frame read with."""
        for bank, query in zip(self._layers, queries_BLC, strict=False):
            bank.note_read([query])

    def keep_groups(self, groups: Sequence[int]) -> None:
        """Forget all id groups but these."""
        for bank in self._layers:
            bank.keep_groups(groups)

    def clear(self) -> None:
        """Forget all frames and give the memory back."""
        for bank in self._layers:
            bank.clear()
