"""The processes that train together: one, or those that ``torchrun`` started on one or several machines."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


class FailedTogether(ValueError):
    """Something failed on one of the processes, and all know it."""


@dataclass(frozen=True)
class Processes:
    """This process among those that take part."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes files and talks."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in order of rank."""
        if self.count == 1:
            return [value]
        out: list[Any] = [None] * self.count
        dist.all_gather_object(out, value)
        return out

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes, not finite where one of them isn't."""
        if self.count == 1:
            return value
        value = value.clone()
        dist.all_reduce(value)
        return value / self.count

    def barrier(self) -> None:
        """Wait for all."""
        if self.count > 1:
            dist.barrier()

    def agree(self, failure: str | None = None) -> None:
        """Wait for all, each of which may say that it has failed.

        Raises:
            FailedTogether: one of them has, on all processes.
        """
        if failures := [text for text in self.gather(failure) if text is not None]:
            raise FailedTogether("; ".join(dict.fromkeys(failures)))

    def attempt(self, work: Callable[[], T]) -> T:
        """What all processes do at once, and may fail at, without leaving any of them waiting for another.

        In ``work`` they may wait for each other by ``agree`` alone.

        Raises:
            FailedTogether: it failed on one of them, on all processes; its cause is known to that one.
        """
        try:
            value = work()
        except FailedTogether:
            raise
        except Exception as error:
            try:
                self.agree(str(error) or type(error).__name__)
            except FailedTogether as together:
                raise together from error
        self.agree()
        return value


def join_processes(device: torch.device) -> Processes:
    """Join the processes that the environment names (``RANK``, ``WORLD_SIZE``, ...): NCCL on CUDA, else gloo."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        return Processes()
    if not dist.is_initialized():
        # validation takes long, and not on all processes equally
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=4))
    return Processes(dist.get_rank(), count)
