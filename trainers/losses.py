"""Losses of clips, of which a stage names one: those of AOT (NeurIPS 2021, section 5), of XMem (ECCV 2022, 3.5)
and of JointFormer (arXiv 2308.13505).

Shapes: T frames, B clips, K classes (0 is the background), O = K - 1 objects, H W map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from voskit.configs.stages import StageConfig
from voskit.dataloaders.training.clip import IGNORE
from voskit.networks.supervised import Supervised

Clips = Sequence[Sequence[Supervised]]
"""What is supervised of each frame of a batch of clips."""


def _classes(logits_BKHW: Tensor) -> Tensor:
    """0 to K - 1 as [K, 1, 1]."""
    return torch.arange(logits_BKHW.shape[1], device=logits_BKHW.device).view(-1, 1, 1)


def kept_fraction(step: int, mining_steps: float, least: float = 0.15) -> float:
    """Share of the hardest pixels that count: from 1 at step 0 linearly to ``least`` at ``mining_steps``."""
    if mining_steps <= 0:
        return least
    progress = min(1.0, step / mining_steps)
    return progress * least + (1.0 - progress)


def bootstrapped_cross_entropy(logits_BKHW: Tensor, labels_BHW: Tensor, fraction: float) -> Tensor:
    """Mean cross entropy of the hardest share of all pixels of a sample, ignored ones included as 0 -> [B]."""
    losses = F.cross_entropy(logits_BKHW, labels_BHW.long(), ignore_index=IGNORE, reduction="none").flatten(1)
    if fraction < 1:
        losses = losses.topk(max(1, int(fraction * losses.shape[1])), sorted=False).values
    return losses.mean(1)


def soft_jaccard(logits_BKHW: Tensor, labels_BHW: Tensor) -> Tensor:
    """1 - soft intersection over union, mean over the classes that occur in a label (the background is one) -> [B].

    It is 0 where a label is ignored throughout.
    """
    valid = (labels_BHW != IGNORE)[:, None]
    truth = (labels_BHW[:, None] == _classes(logits_BKHW)) & valid
    probabilities = logits_BKHW.softmax(1) * valid
    both = (probabilities * truth).sum((2, 3))
    own = truth.sum((2, 3))
    either = (probabilities.sum((2, 3)) + own - both).where(own > 0, 1.0)
    return (1 - both / either).where(own > 0, 0.0).sum(1) / (own > 0).sum(1).clamp(min=1)


def frame_loss(logits_BKHW: Tensor, labels_BHW: Tensor, fraction: float) -> Tensor:
    """Half of each, for the samples of a frame -> [B]."""
    hardest = bootstrapped_cross_entropy(logits_BKHW, labels_BHW, fraction)
    return 0.5 * (hardest + soft_jaccard(logits_BKHW, labels_BHW))


def supervised_losses(supervised: Sequence[Supervised], labels_BHW: Tensor, fraction: float) -> Tensor:
    """Loss of each sample of a frame -> [B]: the weighted mean of what is supervised of it."""
    return torch.stack([s.weight * frame_loss(s.logits, labels_BHW, fraction) for s in supervised]).sum(0)


def reference_weight(step: int, total_steps: int, ratio: float = 1.0) -> float:
    """Weight of the reference frame's auxiliary loss: 1 at step 0, falling linearly to 0 at ``ratio * total_steps``."""
    end = ratio * total_steps + 1e-5
    return max(0.0, end - step) / end


def clip_loss(frame_losses_TB: Tensor, reference: float) -> Tensor:
    """Loss of a clip: weighted mean of the reference frame (row 0), plus the mean of all later frames."""
    return reference * frame_losses_TB[0].mean() + torch.mean(frame_losses_TB[1:])


def bootstrapped_jaccard(
    clips: Clips, labels_TBHW: Tensor, counts: Sequence[int], stage: StageConfig, step: int
) -> Tensor:
    """AOT's loss of a batch, the mean over its clips, of all frames, the reference included."""
    total = stage.total_steps
    fraction = kept_fraction(step, stage.mining_ratio * total, stage.hard_pixel_ratio)
    losses = [supervised_losses(x, labels, fraction) for x, labels in zip(clips, labels_TBHW, strict=True)]
    weight = stage.reference_weight * reference_weight(step, total, stage.reference_ratio)
    return clip_loss(torch.stack(losses), weight)


def kept_fraction_between(step: int, start: int, end: int, least: float = 0.15) -> float:
    """Share of the hardest pixels that count: 1 until ``start``, from there linearly to ``least`` at ``end``."""
    if step < start:
        return 1.0
    return least + (1.0 - least) * (end - step) / (end - start) if step < end else least


def dice(masks_BOHW: Tensor, labels_BHW: Tensor) -> Tensor:
    """1 - smoothed dice coefficient, the mean over all clips and objects; absent objects are empty in both."""
    objects = torch.arange(1, masks_BOHW.shape[1] + 1, device=labels_BHW.device)
    truth = (labels_BHW[:, None] == objects[:, None, None]).to(masks_BOHW).flatten(2)
    masks = (masks_BOHW * (labels_BHW != IGNORE)[:, None]).flatten(2)
    return (1 - (2 * (masks * truth).sum(2) + 1) / (masks.sum(2) + truth.sum(2) + 1)).mean()


def dice_of_batch(masks_BOHW: Tensor, labels_BHW: Tensor) -> Tensor:
    """The same where the pixels of all clips are taken together: the mean over objects alone."""
    return dice(masks_BOHW.transpose(0, 1).flatten(1, 2)[None], labels_BHW.flatten(0, 1)[None])


def _supervised_after_first(
    clips: Clips, labels_TBHW: Tensor, counts: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Of frames 1 to T - 1: logits in which absent objects are impossible, probabilities of objects, and labels.

    Logits of absent objects stand last.
    """
    absent = _classes(clips[0][0].logits) > labels_TBHW.new_tensor(counts).view(-1, 1, 1, 1)
    for ((_, logits),), labels in zip(clips, labels_TBHW[1:], strict=True):
        yield logits.masked_fill(absent, -torch.inf), logits.softmax(1)[:, 1:], labels


def _mining_steps(stage: StageConfig) -> tuple[int, int]:
    return stage.mining_steps or (0, round(stage.mining_ratio * stage.total_steps))


def bootstrapped_dice(
    clips: Clips, labels_TBHW: Tensor, counts: Sequence[int], stage: StageConfig, step: int
) -> Tensor:
    """XMem's loss of a batch: cross entropy of the hardest pixels and dice, summed over frames 1 to T - 1.

    Args:
        clips: one [B, K, H, W] of each of these frames.
    """
    fraction = kept_fraction_between(step, *_mining_steps(stage), stage.hard_pixel_ratio)
    total = clips[0][0].logits.new_zeros(())
    for logits, masks, labels in _supervised_after_first(clips, labels_TBHW, counts):
        total = total + bootstrapped_cross_entropy(logits, labels, fraction).mean() + dice(masks, labels)
    return total


def bootstrapped_dice_ignoring(
    clips: Clips, labels_TBHW: Tensor, counts: Sequence[int], stage: StageConfig, step: int
) -> Tensor:
    """JointFormer's for labels with ignored pixels (VOST).

    Before hard mining begins the mean is that of the pixels that count, and dice is that of all clips together.
    """
    start, end = _mining_steps(stage)
    fraction = kept_fraction_between(step, start, end, stage.hard_pixel_ratio)
    total = clips[0][0].logits.new_zeros(())
    for logits, masks, labels in _supervised_after_first(clips, labels_TBHW, counts):
        hardest = bootstrapped_cross_entropy(logits, labels, fraction)
        if step < start:
            counted = (labels != IGNORE).flatten(1)
            hardest = hardest * counted.shape[1] / counted.sum(1).clamp(min=1)
        total = total + hardest.mean() + dice_of_batch(masks, labels)
    return total


ClipLossFunction = Callable[[Clips, Tensor, Sequence[int], StageConfig, int], Tensor]
CLIP_LOSSES: dict[str, ClipLossFunction] = {
    "bootstrapped_jaccard": bootstrapped_jaccard,
    "bootstrapped_dice": bootstrapped_dice,
    "bootstrapped_dice_ignoring": bootstrapped_dice_ignoring,
}
"""Losses of a batch, by what a stage calls them."""
