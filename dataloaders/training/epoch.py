"""The epoch of a dataset, seen by its loader processes."""

from __future__ import annotations

import torch
from torch.utils.data import get_worker_info


class Epoch:
    """A number that loader processes which live on see change, when it is set outside of them.

    Set inside of one, it is that process's own from then on: others may be in another epoch.
    """

    def __init__(self) -> None:
        self._value = torch.zeros((), dtype=torch.int64).share_memory_()

    def set(self, epoch: int) -> None:
        """Choose the epoch, from 0 on."""
        if get_worker_info() is not None and self._value.is_shared():
            self._value = self._value.clone()
        self._value.fill_(epoch)

    def __int__(self) -> int:
        return int(self._value)
