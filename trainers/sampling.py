"""Which clips a step gets: a function of the step, so that resuming needs no state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Sampler


class StepBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) for one process, from a step on.

    Clips of all steps are one long sequence, epoch after epoch in a random order each; a step takes the next
    ``batch_size`` of them, of which each process gets its share. So it doesn't matter how many processes there are.

    Args:
        length: clips of the dataset.
        batch_size: clips a step, over all processes.
        rank, count: this process and how many there are; ``count`` divides ``batch_size``.
        start, stop: steps.
    """

    def __init__(self, length: int, batch_size: int, rank: int, count: int, start: int, stop: int, seed: int) -> None:
        if batch_size % count:
            raise ValueError(f"a batch of {batch_size} clips can't be shared by {count} processes")
        if length < 1:
            raise ValueError("the training data are empty")
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.rank, self.share = rank, batch_size // count
        self.start, self.stop = start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = -1, np.empty(0, np.int64)
        for step in range(self.start, self.stop):
            batch = []
            for place in self.places(step):
                if place // self.length != epoch:
                    epoch = place // self.length
                    order = np.random.default_rng((self.seed, epoch)).permutation(self.length)
                batch.append((epoch, int(order[place % self.length])))
            yield batch

    def places(self, step: int) -> range:
        """Places of this process's clips of a step in the long sequence."""
        first = step * self.batch_size + self.rank * self.share
        return range(first, first + self.share)


class ByEpoch(Dataset[Any]):
    """Takes (epoch, index) and tells the dataset its epoch, in whichever loader process it runs."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, key: tuple[int, int]) -> Any:
        epoch, index = key
        self.dataset.set_epoch(epoch)
        return self.dataset[index]


def identity_permutations(seed: int, places: range, identities: int) -> np.ndarray:
    """A random order of the bank's identities for each clip, [B, identities] from 0; a function of its place."""
    return np.stack([np.random.default_rng((seed, 1, place)).permutation(identities) for place in places])
