"""Random reference frames of a training clip, for families that read only a few earlier frames (XMem, section 3.5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def draw_references(length: int, batch: int, reference_frames: int) -> list[Tensor]:
    """Draw a random order of the earlier frames, for every frame that can't read all of them.

    Args:
        length: frames of a clip.
        batch: number of clips.
        reference_frames: maximum number of frames that a frame reads, including the first one.

    Returns:
        for each frame t from ``reference_frames + 1`` on, [B, t - 1]: numbers 1 to t - 1 in random order, of which the
        first ``reference_frames - 1`` are read.
    """
    return [torch.stack([torch.randperm(t - 1) for _ in range(batch)]) + 1 for t in range(reference_frames + 1, length)]


def frames_in_memory(
    t: int, reference_frames: int, references: Sequence[Tensor], batch: int, device: torch.device
) -> Tensor:
    """Return the numbers of the frames that frame ``t`` reads, [B, N]: all earlier ones, or the first and the drawn."""
    if t <= reference_frames:
        return torch.arange(t, device=device).expand(batch, -1)
    drawn = references[t - reference_frames - 1][:, : reference_frames - 1].to(device)
    return torch.cat([torch.zeros_like(drawn[:, :1]), drawn], 1)
