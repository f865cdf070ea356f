"""Losses of AOT's training (NeurIPS 2021, section 5): bootstrapped cross entropy and soft Jaccard.

Shapes: K classes (0 is the background), H W map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from networks.models.aot import Supervised

IGNORE = 255
"""Label of pixels that take no part."""


def kept_fraction(step: int, mining_steps: float, least: float = 0.15) -> float:
    """Share of the hardest pixels that count: from 1 at step 0 linearly to ``least`` at ``mining_steps``."""
    if mining_steps <= 0:
        return least
    progress = min(1.0, step / mining_steps)
    return progress * least + (1.0 - progress)


def bootstrapped_cross_entropy(logits_KHW: Tensor, labels_HW: Tensor, fraction: float) -> Tensor:
    """Mean cross entropy of the hardest share of all pixels, ignored ones included as 0."""
    losses = F.cross_entropy(logits_KHW[None], labels_HW[None].long(), ignore_index=IGNORE, reduction="none").flatten()
    return losses.topk(max(1, int(fraction * losses.numel()))).values.mean()


def soft_jaccard(logits_KHW: Tensor, labels_HW: Tensor) -> Tensor:
    """1 - soft intersection over union, mean over the classes that occur in the label (the background is one)."""
    valid = labels_HW != IGNORE
    probabilities = logits_KHW.softmax(0) * valid
    truth = F.one_hot(labels_HW.long().where(valid, 0), len(logits_KHW)).permute(2, 0, 1) * valid
    truth = truth.to(probabilities)
    both = (probabilities * truth).sum((1, 2))
    either = (probabilities + truth - probabilities * truth).sum((1, 2))
    occurs = truth.sum((1, 2)) > 0
    return (1 - both[occurs] / either[occurs]).mean()


def frame_loss(logits_KHW: Tensor, labels_HW: Tensor, fraction: float) -> Tensor:
    """Half of each, for one sample and frame."""
    return 0.5 * (bootstrapped_cross_entropy(logits_KHW, labels_HW, fraction) + soft_jaccard(logits_KHW, labels_HW))


def supervised_losses(
    supervised: Sequence[Supervised], labels_BHW: Tensor, object_counts: Sequence[int], fraction: float
) -> Tensor:
    """Loss of each sample of a frame -> [B]: the weighted mean of what is supervised of it."""
    losses = [
        s.weight
        * torch.stack([frame_loss(s.logits[b, : n + 1], labels_BHW[b], fraction) for b, n in enumerate(object_counts)])
        for s in supervised
    ]
    return torch.stack(losses).sum(0)


def reference_weight(step: int, total_steps: int, ratio: float = 1.0) -> float:
    """Weight of the reference frame's auxiliary loss: 1 at step 0, falling linearly to 0 at ``ratio * total_steps``."""
    end = ratio * total_steps + 1e-5
    return max(0.0, end - step) / end


def clip_loss(frame_losses_TB: Tensor, reference: float) -> Tensor:
    """Loss of a clip: weighted mean of the reference frame (row 0), plus the mean of all later frames."""
    return reference * frame_losses_TB[0].mean() + torch.mean(frame_losses_TB[1:])
