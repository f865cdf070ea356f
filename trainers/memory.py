"""How much memory training takes."""

from __future__ import annotations

import sys

import torch


def peak_memory(device: torch.device) -> float:
    """Bytes: the most that was allocated on CUDA, what is allocated on MPS, else this process's largest resident size.

    NaN where the system doesn't tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.current_allocated_memory()
    if sys.platform == "win32":
        return float("nan")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024.0 * peak  # macOS counts bytes, Linux KiB
