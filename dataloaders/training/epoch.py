"""Reproducible datasets, whose items depend only on seed, epoch and index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

T = TypeVar("T", covariant=True)


class EpochDataset(Dataset[T]):
    """Base class of datasets whose items depend only on the seed, the epoch and the index.

    Args:
        seed: one or several non-negative integers.
    """

    def __init__(self, seed: int | Sequence[int]) -> None:
        self.seed = (seed,) if isinstance(seed, int) else tuple(seed)
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # shared with persistent workers

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0, also in running ``DataLoader`` workers.

        A call inside a worker changes only that worker's epoch, which then no longer follows the others.
        """
        if get_worker_info() is not None and self._epoch.is_shared():
            self._epoch = self._epoch.clone()
        self._epoch.fill_(epoch)

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return int(self._epoch)

    def generator(self, index: int) -> np.random.Generator:
        """Return the random number generator of an item."""
        return np.random.default_rng((*self.seed, self.epoch, index))
