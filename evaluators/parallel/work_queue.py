"""Work queue: items are handed out one by one to the processes of one or several machines."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from torch.distributed import PrefixStore, Store, TCPStore
from torch.distributed.rendezvous import rendezvous

_NUMBERS = itertools.count()


class Items(Protocol):
    """The items of this process."""

    def items(self, count: int) -> Iterator[int]:
        """Yield numbers from 0 to ``count - 1``."""


@dataclass(frozen=True)
class Share:
    """Every ``count``-th item, starting at ``index``: the items of one of several processes."""

    index: int = 0
    count: int = 1

    def items(self, count: int) -> Iterator[int]:
        """Yield the numbers of this share from 0 to ``count - 1``."""
        yield from range(self.index, count, self.count)


class WorkQueue:
    """A queue that gives each item to one of the participating processes.

    They find each other through the environment of ``torchrun`` (``RANK``, ``WORLD_SIZE``, ...); without it this
    process is the only one.
    """

    def __init__(self) -> None:
        self.world_size = int(os.environ.get("WORLD_SIZE", 1))
        self.rank = int(os.environ.get("RANK", 0))
        self.local_rank = int(os.environ.get("LOCAL_RANK", 0))
        self._store: Store | None = None
        if self.world_size > 1:  # all processes create their queues in the same order, so prefixes are the same
            self._store = PrefixStore(f"queue{next(_NUMBERS)}", next(rendezvous("env://"))[0])

    def items(self, count: int) -> Iterator[int]:
        """Yield the numbers from 0 to ``count - 1`` that no other process has taken."""
        if self._store is None:
            yield from range(count)
            return
        while (index := self._store.add("next_item", 1) - 1) < count:
            yield index

    def wait_for_all(self) -> None:
        """Return when every process has called this."""
        if self._store is None:
            return
        self._store.set(f"ended_{self.rank}", "1")
        self._store.wait([f"ended_{rank}" for rank in range(self.world_size)], timedelta(days=30))


def serve_queue(world_size: int) -> tuple[TCPStore, list[dict[str, str]]]:
    """Start the store of a :class:`WorkQueue` in this process, for processes that it will start on this machine.

    Returns:
        the store, which must outlive these processes, and the environment variables of each of them.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    shared = {
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
        # all processes together may have more threads than there are processors: none must spin while it waits
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return store, [{**shared, "RANK": str(i), "LOCAL_RANK": str(i)} for i in range(world_size)]
