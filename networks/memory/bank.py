"""A memory bank: keys and values of frames in one allocation that grows by blocks.

Shapes: B id groups, L positions of a frame, M positions of all stored frames, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from voskit.networks.memory.policies import MemoryPolicy, StoredFrame


class MemoryPart(NamedTuple):
    """Keys and values that serve some id groups; a key of batch 1 is shared by all of them."""

    key: Tensor
    value: Tensor


class FrameBank:
    """Frames that some id groups remember, for all layers of a network.

    Memory is allocated in blocks of frames and written in place; reading gives views. So nothing is concatenated and,
    with a policy that is bounded, nothing grows after the bound is reached.

    Args:
        policy: decides which frames are stored and which are overwritten.
        block: frames by which the allocation grows, at least; a large bank grows by half its size.
    """

    def __init__(self, policy: MemoryPolicy, block: int = 4) -> None:
        self.policy = policy
        self.block = block
        self.frames: list[StoredFrame] = []
        self._storage: list[Tensor] = []
        self._length = 0

    def __len__(self) -> int:
        """Number of stored frames."""
        return len(self.frames)

    @property
    def nbytes(self) -> int:
        """Bytes that are allocated."""
        return sum(x.numel() * x.element_size() for x in self._storage)

    def due(self, frame: int) -> bool:
        """Whether the policy wants this predicted frame."""
        return self.policy.due(frame, max(f.frame for f in self.frames))

    def write(self, layers: Sequence[MemoryPart], frame: int, reference: bool = False, passing: bool = False) -> None:
        """Store a frame, in the place that the policy says.

        Args:
            layers: key [B or 1, L, C] and value [B, L, C'] of each layer.
            frame: its number in the video.
            reference: its mask was given by the user.
            passing: it is the latest frame, and wanted for no more than that.
        """
        new = StoredFrame(frame, reference, passing)
        slot = self.policy.place(self.frames, new)
        if slot is None:
            return
        tensors = [x for part in layers for x in part]
        self._length = tensors[0].shape[1]
        if slot == len(self.frames):
            self._reserve(tensors, slot + 1)
            self.frames.append(new)
        else:
            self.frames[slot] = new
        start = slot * self._length
        for storage, x in zip(self._storage, tensors, strict=True):
            storage[:, start : start + self._length] = x

    def read(self) -> list[MemoryPart]:
        """Views of keys [B or 1, M, C] and values [B, M, C'] of each layer."""
        filled = [x[:, : len(self.frames) * self._length] for x in self._storage]
        return [MemoryPart(k, v) for k, v in zip(filled[::2], filled[1::2], strict=True)]

    def note_read(self, queries_BLC: Sequence[Tensor]) -> None:
        """Frames stay whatever use they are: nothing is counted, see :class:`~voskit.networks.memory.PrototypeBank`."""

    def keep_groups(self, groups: Sequence[int]) -> None:
        """Forget all id groups but these."""
        rows = torch.as_tensor(groups, device=self._storage[0].device)
        self._storage = [x if x.shape[0] == 1 < self.groups else x[rows] for x in self._storage]

    @property
    def groups(self) -> int:
        """Number of id groups that are served."""
        return max((x.shape[0] for x in self._storage), default=0)

    def clear(self) -> None:
        """Forget all frames and give the memory back."""
        self.frames, self._storage, self._length = [], [], 0

    def _reserve(self, tensors: Sequence[Tensor], frames: int) -> None:
        """Make room for this many frames."""
        if self._storage and self._storage[0].shape[1] >= frames * self._length:
            return
        capacity = max(frames - 1 + self.block, (frames - 1) * 3 // 2)
        if self.policy.max_frames is not None:
            capacity = min(capacity, self.policy.max_frames)
        for i, x in enumerate(tensors):
            grown = x.new_empty(x.shape[0], capacity * self._length, x.shape[2])
            if i < len(self._storage):
                grown[:, : self._storage[i].shape[1]] = self._storage[i]
                self._storage[i] = grown
            else:
                self._storage.append(grown)
