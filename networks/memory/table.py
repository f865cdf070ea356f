"""Growable table: named columns, each in one allocation that grows by blocks at both ends.

Shapes: B groups or objects, M rows, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Table:
    """Columns [B, M, C] with common rows; B and C differ between columns.

    Rows are written in place and read as views. New rows, at the front or the end, use free rows of the allocation.
    When none are left, the table moves to an allocation that is larger by a block or by half, whichever is more.

    Args:
        block: minimum number of rows by which the allocation grows.
    """

    def __init__(self, block: int) -> None:
        self.block = block
        self._storage: dict[str, Tensor] = {}
        self._start = self._stop = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._stop - self._start

    def __getitem__(self, name: str) -> Tensor:
        """Return a view of a column, [B, M, C]."""
        return self._storage[name][:, self._start : self._stop]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._storage)

    @property
    def nbytes(self) -> int:
        """Number of allocated bytes."""
        return sum(x.numel() * x.element_size() for x in self._storage.values())

    def append(self, rows: Mapping[str, Tensor]) -> None:
        """Append rows; the first ones define the columns."""
        count = self._make_room(rows, front=False)
        self._stop += count
        for name, x in rows.items():
            self._storage[name][:, self._stop - count : self._stop] = x

    def prepend(self, rows: Mapping[str, Tensor]) -> None:
        """Insert rows in front of all others."""
        count = self._make_room(rows, front=True)
        self._start -= count
        for name, x in rows.items():
            self._storage[name][:, self._start : self._start + count] = x

    def keep(self, wanted_M: Tensor, pivot: int = 0) -> None:
        """Remove the rows for which a bool tensor is False; keep the order of the others.

        Rows close up towards row ``pivot``. So removal frees rows at the front and the end, where new ones are added,
        and the table doesn't drift through its allocation.
        """
        if bool(wanted_M.all()):
            return
        before, after = wanted_M[:pivot].nonzero().flatten(), pivot + wanted_M[pivot:].nonzero().flatten()
        for name in self._storage:
            column = self[name]
            if len(before) < pivot:
                column[:, pivot - len(before) : pivot] = column[:, before]
            column[:, pivot : pivot + len(after)] = column[:, after]
        self._stop = self._start + pivot + len(after)
        self._start += pivot - len(before)

    def keep_batch(self, name: str, kept: Tensor) -> None:
        """Keep only some entries of a column's first axis."""
        self._storage[name] = self._storage[name][kept]

    def widen_batch(self, name: str, count: int) -> None:
        """Add entries to a column's first axis; their existing rows are 0."""
        x = self._storage[name]
        self._storage[name] = torch.cat([x, x.new_zeros(count, *x.shape[1:])])

    def clear(self) -> None:
        """Drop all rows and free the memory."""
        self._storage = {}
        self._start = self._stop = 0

    def _make_room(self, rows: Mapping[str, Tensor], front: bool) -> int:
        """Make room for some rows at one end and return their number."""
        count = next(iter(rows.values())).shape[1]
        capacity = next(iter(self._storage.values())).shape[1] if self._storage else 0
        if count <= (self._start if front else capacity - self._stop):
            return count
        extra = max(count, self.block, len(self) // 2)
        before, after = (extra, capacity - self._stop) if front else (self._start, extra)
        start, stop = before, before + len(self)
        for name, x in rows.items():
            old = self._storage.get(name)
            # zeros, not uninitialized memory: a weight of 0 times a value that isn't finite would be NaN
            like = x if old is None else old
            grown = like.new_zeros(like.shape[0], stop + after, like.shape[2])
            if old is not None:
                grown[:, start:stop] = old[:, self._start : self._stop]
            self._storage[name] = grown
        self._start, self._stop = start, stop
        return count
