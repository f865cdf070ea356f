"""Sampler of training clips: batches are a function of the step, so resuming needs no state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Sampler


def share_of_batch(batch_size: int, count: int, accumulate: int = 1) -> int:
    """Return the number of clips of a batch for each of ``count`` processes, divisible by ``accumulate``.

    Raises:
        ValueError: ``count`` doesn't divide ``batch_size``, or ``accumulate`` the share.
    """
    if batch_size % count:
        raise ValueError(f"a batch of {batch_size} clips can't be divided among {count} processes")
    share = batch_size // count
    if share % accumulate:
        raise ValueError(f"{share} clips per process can't be split into {accumulate} equal parts")
    return share


class StepBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) for one process.

    The clips of all steps form one long sequence: epoch after epoch, each in a random order. A step takes the next
    ``batch_size`` clips, and each process takes its share of them. So the clips of a step don't depend on the number of
    processes.

    Args:
        length: number of clips in the dataset.
        batch_size: clips per step, over all processes.
        rank: rank of this process.
        count: number of processes, a divisor of ``batch_size``.
        start: first step.
        stop: step after the last one.
        seed: seed of the order.

    Raises:
        ValueError: ``count`` doesn't divide ``batch_size``, or there are no clips.
    """

    def __init__(self, length: int, batch_size: int, rank: int, count: int, start: int, stop: int, seed: int) -> None:
        if length < 1:
            raise ValueError("the training data is empty")
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.rank, self.share = rank, share_of_batch(batch_size, count)
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
        """Return the positions of this process's clips of a step in the long sequence."""
        first = step * self.batch_size + self.rank * self.share
        return range(first, first + self.share)


class ByEpoch(Dataset[Any]):
    """Dataset indexed by (epoch, index). It sets the epoch first, so it works in every DataLoader worker."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, key: tuple[int, int]) -> Any:
        epoch, index = key
        self.dataset.set_epoch(epoch)
        return self.dataset[index]


def identity_permutations(seed: int, places: range, identities: int) -> np.ndarray:
    """Return a random order of the identities of the bank for each clip.

    Args:
        seed: seed of the run.
        places: positions of the clips in the order of training, see :meth:`StepBatches.places`. A clip's order depends
            only on its position.
        identities: number of identities in the bank.

    Returns:
        int64 [B, identities], from 0.
    """
    return np.stack([np.random.default_rng((seed, 1, place)).permutation(identities) for place in places])
