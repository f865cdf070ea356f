"""Handing out work to processes, on one machine or several, one item at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Protocol

from torch.distributed import TCPStore
from torch.distributed.rendezvous import rendezvous


class Items(Protocol):
    """Says which items this process works off."""

    def items(self, count: int) -> Iterator[int]:
        """Numbers from 0 to ``count - 1``."""


class WorkQueue:
    """Gives each item to one of the processes that take part.

    Processes are found through the environment that ``torchrun`` sets (``RANK``, ``WORLD_SIZE``, ...); without it there
    is just this one.
    """

    def __init__(self) -> None:
        self.world_size = int(os.environ.get("WORLD_SIZE", 1))
        self.rank = int(os.environ.get("RANK", 0))
        self.local_rank = int(os.environ.get("LOCAL_RANK", 0))
        self._store = next(rendezvous("env://"))[0] if self.world_size > 1 else None

    def items(self, count: int) -> Iterator[int]:
        """Numbers 0 to ``count - 1``, as far as no other process took them."""
        if self._store is None:
            yield from range(count)
            return
        while (index := self._store.add("next_item", 1) - 1) < count:
            yield index

    def wait_for_all(self) -> None:
        """Return when every process has come here."""
        if self._store is None:
            return
        self._store.set(f"ended_{self.rank}", "1")
        self._store.wait([f"ended_{rank}" for rank in range(self.world_size)], timedelta(days=30))


def serve_queue(world_size: int) -> tuple[TCPStore, list[dict[str, str]]]:
    """Start the store of a :class:`WorkQueue` in this process, for processes that it starts on this machine.

    Returns:
        the store, which has to live as long as they do, and the environment for each of them.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    shared = {
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
        # processes that have more threads than processors together must not spin while they wait
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return store, [{**shared, "RANK": str(i), "LOCAL_RANK": str(i)} for i in range(world_size)]
