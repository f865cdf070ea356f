"""Memory in use and peak memory of a device or of this process."""

from __future__ import annotations

import sys
from pathlib import Path

import torch


def memory_in_use(device: torch.device) -> int | None:
    """Return the bytes allocated on the accelerator, or this process's resident memory for a network on the CPU.

    None if the system doesn't report it (CPU runs outside of Linux).
    """
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.current_allocated_memory()
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    import resource

    return int(statm.read_text().split()[1]) * resource.getpagesize()


def peak_memory(device: torch.device) -> float:
    """Return the peak in bytes: allocation on CUDA, current allocation on MPS, else this process's peak resident size.

    NaN if the system doesn't report it (CPU runs on Windows).
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
