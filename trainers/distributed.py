"""Distributed training: this process alone, or those that ``torchrun`` started on one or several machines."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


class FailedTogether(ValueError):
    """An error of one process, raised on all of them."""


@dataclass(frozen=True)
class Processes:
    """Rank of this process and collective operations. The default is a single process."""

    rank: int = 0
    count: int = 1
    """Number of processes."""

    @property
    def is_first(self) -> bool:
        """True on rank 0, which writes files and logs."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, in order of rank."""
        if self.count == 1:
            return [value]
        out: list[Any] = [None] * self.count
        dist.all_gather_object(out, value)
        return out

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes. NaN and infinity of one process reach all of them."""
        if self.count == 1:
            return value
        value = value.clone()
        dist.all_reduce(value)
        return value / self.count

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.count > 1:
            dist.barrier()

    def agree(self, failure: str | None = None) -> None:
        """Wait for all processes and share their failures.

        Args:
            failure: error message of this process. None: it succeeded.

        Raises:
            FailedTogether: at least one process failed. It is raised on all of them.
        """
        if failures := [text for text in self.gather(failure) if text is not None]:
            raise FailedTogether("; ".join(dict.fromkeys(failures)))

    def attempt(self, work: Callable[[], T]) -> T:
        """Run ``work`` on all processes. If it fails on one of them, no other is left waiting.

        ``work`` may synchronize processes only by :meth:`agree`.

        Raises:
            FailedTogether: ``work`` failed on at least one process. It is raised on all of them, with the cause on the
                process that failed.
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

    @contextlib.contextmanager
    def connected(self) -> Iterator[None]:
        """Report the reason if another process ends during a ``with`` block.

        Raises:
            ConnectionError: another process was killed, or ended with an error.
        """
        try:
            yield
        except RuntimeError as error:  # gloo has no error class of its own
            if self.count > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error)):
                raise ConnectionError(
                    f"process {self.rank} lost the connection to another process, which was killed or failed: run the "
                    "command again to resume from the last checkpoint"
                ) from error
            raise


def join_processes(device: str | torch.device | None = None) -> Processes:
    """Join the process group that the environment defines (``RANK``, ``WORLD_SIZE``, ...): NCCL on CUDA, else gloo.

    Args:
        device: device of this process. None: the best one.
    """
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        return Processes()
    if not dist.is_initialized():
        on_cuda = torch.cuda.is_available() and str(device or "cuda").startswith("cuda")
        # validation can take hours, on some processes longer than on others
        dist.init_process_group("nccl" if on_cuda else "gloo", timeout=timedelta(hours=4))
    return Processes(dist.get_rank(), count)
