"""Cache of small tensors that are the same for every frame."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def constant(values: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return numbers as a tensor that is cached per device. Creating it each frame would force a host-device sync."""
    with torch.inference_mode(False):  # an inference tensor couldn't be used outside of inference mode
        return torch.tensor(values, dtype=dtype, device=device)


def look_up(table: tuple[int, ...], index_HW: Tensor) -> Tensor:
    """Look up int32 numbers in a table, by an index for each pixel."""
    return constant(table, torch.int32, index_HW.device).index_select(0, index_HW.flatten()).view(index_HW.shape)


@lru_cache(maxsize=16)
def unused_channels(slots: tuple[int, ...], groups: int, identities: int, device: torch.device) -> Tensor:
    """Return a bool mask [G, 1 + identities, 1, 1], True for channels that belong to no slot and not to background."""
    unused = torch.ones(groups, 1 + identities, dtype=torch.bool)
    unused[:, 0] = False
    for slot in slots:
        unused[(slot - 1) // identities, 1 + (slot - 1) % identities] = False
    with torch.inference_mode(False):
        return unused[:, :, None, None].to(device)
