"""Small tensors that are the same frame after frame."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def constant(values: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers as a tensor that is made once: to copy them to a GPU means to wait for all that it was told before."""
    with torch.inference_mode(False):  # else it could be used nowhere else
        return torch.tensor(values, dtype=dtype, device=device)


def look_up(table: tuple[int, ...], index_HW: Tensor) -> Tensor:
    """The numbers that stand in a table at these places, int32."""
    return constant(table, torch.int32, index_HW.device).index_select(0, index_HW.flatten()).view(index_HW.shape)


@lru_cache(maxsize=16)
def unused_channels(slots: tuple[int, ...], groups: int, identities: int, device: torch.device) -> Tensor:
    """Channels [G, 1 + identities, 1, 1] of logits that are neither the background's nor those of these slots."""
    unused = torch.ones(groups, 1 + identities, dtype=torch.bool)
    unused[:, 0] = False
    for slot in slots:
        unused[(slot - 1) // identities, 1 + (slot - 1) % identities] = False
    with torch.inference_mode(False):
        return unused[:, :, None, None].to(device)
