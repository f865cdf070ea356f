"""What all training datasets share: items that are a function of the seed, the epoch and the index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

T = TypeVar("T", covariant=True)


class EpochDataset(Dataset[T]):
    """A dataset whose item ``index`` depends on the seed, the epoch and the index, on nothing else.

    Args:
        seed: one integer (or several) from 0 on.
    """

    def __init__(self, seed: int | Sequence[int]) -> None:
        self.seed = (seed,) if isinstance(seed, int) else tuple(seed)
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # loaders that live on see it change

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0 on, whose items are given from now on, in running loader processes too.

        Inside of one it is that process's own from then on: others may be in another epoch.
        """
        if get_worker_info() is not None and self._epoch.is_shared():
            self._epoch = self._epoch.clone()
        self._epoch.fill_(epoch)

    @property
    def epoch(self) -> int:
        """The epoch whose items are given."""
        return int(self._epoch)

    def generator(self, index: int) -> np.random.Generator:
        """The random numbers of an item."""
        return np.random.default_rng((*self.seed, self.epoch, index))
