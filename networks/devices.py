"""Device selection for processes."""

from __future__ import annotations

import os

import torch


def local_device(device: str | None = None) -> str | None:
    """Return the device for this process. If a machine runs several CUDA processes, each gets its own GPU.

    Args:
        device: the device chosen by the user. None: the best one available.
    """
    if device not in (None, "cuda") or not torch.cuda.is_available():
        return device
    index = int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count()
    torch.cuda.set_device(index)  # otherwise each process also creates a context on the first GPU
    return f"cuda:{index}"
