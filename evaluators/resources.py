"""How much memory a run takes."""

from __future__ import annotations

from pathlib import Path

import torch


def memory_in_use(device: torch.device) -> int | None:
    """Bytes in use: of the accelerator where the network is on one, else resident memory of this process.

    None where the system doesn't tell (CPU runs outside of Linux).
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
