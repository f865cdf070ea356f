"""Memory bank that keeps old frames at half resolution.

Shapes: B id groups, L = h * w positions of a frame, L' of a merged one, M positions in memory, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from voskit.networks.layers.maps import to_map, to_sequence
from voskit.networks.layers.memory_part import MemoryPart, MergedPart
from voskit.networks.memory.bank import NO_QUALITY
from voskit.networks.memory.policies import MemoryPolicy, StoredFrame, asks_for

if TYPE_CHECKING:
    from voskit.networks.engines.quality import ObjectQuality


class MergedBank:
    """A bank whose frames, except the first and the latest, hold the means of 2 x 2 keys and values.

    Attention adds the logarithm of the number of merged positions to the scores, so the mean of four equal keys has the
    weight of all four. A frame is merged once, when the next one is stored; later it is only moved.

    Args:
        policy: decides which frames are stored and which are replaced.
        size: height and width of the map.

    Raises:
        ValueError: the policy needs the usage of frames, which this bank doesn't track.
    """

    def __init__(self, policy: MemoryPolicy, size: tuple[int, int]) -> None:
        if asks_for(policy, "needs_usage"):
            raise ValueError(f"merge_old_memory can't follow policy {policy}: it doesn't track the usage of frames")
        self.policy = policy
        self.size = size
        self.clear()

    def clear(self) -> None:
        """Drop all frames and free the memory."""
        self.frames: list[StoredFrame] = []
        self._columns: list[Tensor] = []  # keys and values of each layer, frames in order of slots
        self._lengths: list[int] = []  # positions of each frame
        self._latest = -1  # slot of the last stored frame

    def __len__(self) -> int:
        """Return the number of stored frames."""
        return len(self.frames)

    @property
    def nbytes(self) -> int:
        """Number of allocated bytes."""
        return sum(x.numel() * x.element_size() for x in self._columns)

    @property
    def groups(self) -> int:
        """Number of id groups that are served."""
        return max((x.shape[0] for x in self._columns), default=0)

    @property
    def frame_numbers(self) -> list[int]:
        """Numbers of the stored frames, in order of slots."""
        return [frame.frame for frame in self.frames]

    def due(self, frame: int) -> bool:
        """Return True if the policy wants this predicted frame."""
        return self.policy.due(frame, max(self.frame_numbers))

    def write(
        self,
        layers: Sequence[MemoryPart],
        frame: int,
        reference: bool = False,
        *,
        quality: Mapping[int, ObjectQuality] = NO_QUALITY,
        partial: bool = False,
    ) -> None:
        """Store a frame; see :meth:`voskit.networks.memory.bank.Bank.write`."""
        new = StoredFrame(frame, reference, quality=dict(quality), partial=partial)
        slot = self.policy.place(self.frames, new)
        if slot is None:
            return
        written = [x for part in layers for x in part]
        columns = []
        for i, x in enumerate(written):
            parts = list(self._columns[i].split(self._lengths, 1)) if self.frames else []
            if self._latest > 0 and self._latest != slot:
                parts[self._latest] = self._merged(parts[self._latest])
            parts[slot : slot + 1] = [x]
            columns.append(torch.cat(parts, 1))
        self._columns, self._lengths = columns, [part.shape[1] for part in parts]
        self.frames[slot : slot + 1] = [new]
        self._latest = slot

    def read(self) -> list[MergedPart]:
        """Return keys [B or 1, M, C], values [B, M, C'] and counts [1, M] of each layer."""
        ones = torch.ones(1, 1, *self.size, device=self._columns[0].device)
        whole = to_sequence(ones)[..., 0]
        merged = to_sequence(F.avg_pool2d(ones, 2, ceil_mode=True, divisor_override=1))[..., 0]
        counts = torch.cat([whole if length == whole.shape[1] else merged for length in self._lengths], 1)
        return [MergedPart(k, v, counts) for k, v in zip(self._columns[::2], self._columns[1::2], strict=True)]

    def memory_of(self, frame: int) -> list[MemoryPart] | None:
        """Return None: most frames are merged."""
        return None

    def count_usage(self, queries_BLC: Sequence[Tensor]) -> None:
        """Do nothing: usage isn't tracked."""

    def keep_groups(self, groups: Sequence[int]) -> None:
        """Keep only these id groups, given by their numbers."""
        several = self.groups > 1
        self._columns = [x if len(x) == 1 and several else x[list(groups)] for x in self._columns]

    def _merged(self, x_BLC: Tensor) -> Tensor:
        """Return the means of 2 x 2 positions, or fewer at an odd edge, [B, L', C]."""
        return to_sequence(F.avg_pool2d(to_map(x_BLC, self.size), 2, ceil_mode=True, count_include_pad=False))
