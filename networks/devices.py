"""Devices of processes."""

from __future__ import annotations

import os

import torch


def local_device(device: str | None = None) -> str | None:
    """Return the device of this process. With several CUDA processes on a machine, each gets a GPU of its own.

    Args:
        device: the device that the user asked for. None: the best one.
    """
    if device not in (None, "cuda") or not torch.cuda.is_available():
        return device
    index = int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count()
    torch.cuda.set_device(index)  # else each process also creates a context on the first GPU
    return f"cuda:{index}"
