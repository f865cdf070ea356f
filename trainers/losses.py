"""Losses of training clips.

AOT (NeurIPS 2021, section 5), XMem (ECCV 2022, section 3.5) and JointFormer (arXiv 2308.13505).

Shapes: T frames, B clips, K classes (0 is the background), O = K - 1 objects, H W map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from voskit.configs import Registry
from voskit.configs.stages import StageConfig
from voskit.dataloaders.training.clip import IGNORE
from voskit.networks.models.base import Supervised

Clips = Sequence[Sequence[Supervised]]
"""Supervised logits of each frame of a batch of clips."""

ClipLossFunction = Callable[[Clips, Tensor, Sequence[int], StageConfig, int], Tensor]
"""Loss of a batch: supervised logits, labels [T, B, H, W], object counts, stage and step -> scalar."""

CLIP_LOSSES: Registry[ClipLossFunction] = Registry("loss")
"""Losses that a stage can name. Register your own with ``@CLIP_LOSSES.register("mine")``."""


def _classes(logits_BKHW: Tensor) -> Tensor:
    """Return the classes 0 to K - 1 as [K, 1, 1]."""
    return torch.arange(logits_BKHW.shape[1], device=logits_BKHW.device).view(-1, 1, 1)


def kept_fraction(step: int, mining_steps: float, least: float = 0.15) -> float:
    """Return the fraction of hardest pixels that count, falling linearly from 1 to ``least`` at ``mining_steps``."""
    if mining_steps <= 0:
        return least
    progress = min(1.0, step / mining_steps)
    return progress * least + (1.0 - progress)


def bootstrapped_cross_entropy(logits_BKHW: Tensor, labels_BHW: Tensor, fraction: float) -> Tensor:
    """Return the mean cross entropy of the hardest pixels of each sample, [B].

    Args:
        logits_BKHW: logits.
        labels_BHW: object ids; :data:`IGNORE` marks ignored pixels, whose loss is 0.
        fraction: fraction of all pixels that count, including ignored ones.
    """
    losses = F.cross_entropy(logits_BKHW, labels_BHW.long(), ignore_index=IGNORE, reduction="none").flatten(1)
    if fraction < 1:
        losses = losses.topk(max(1, int(fraction * losses.shape[1])), sorted=False).values
    return losses.mean(1)


def soft_jaccard(logits_BKHW: Tensor, labels_BHW: Tensor) -> Tensor:
    """Return 1 - soft IoU of each sample, the mean over the classes in its label, [B].

    The background is one of the classes. The loss of a sample without a valid pixel is 0.
    """
    valid = (labels_BHW != IGNORE)[:, None]
    truth = (labels_BHW[:, None] == _classes(logits_BKHW)) & valid
    probabilities = logits_BKHW.softmax(1) * valid
    both = (probabilities * truth).sum((2, 3))
    own = truth.sum((2, 3))
    either = (probabilities.sum((2, 3)) + own - both).where(own > 0, 1.0)
    return (1 - both / either).where(own > 0, 0.0).sum(1) / (own > 0).sum(1).clamp(min=1)


def frame_loss(logits_BKHW: Tensor, labels_BHW: Tensor, fraction: float) -> Tensor:
    """Return the mean of bootstrapped cross entropy and soft Jaccard loss for each sample of a frame, [B]."""
    hardest = bootstrapped_cross_entropy(logits_BKHW, labels_BHW, fraction)
    return 0.5 * (hardest + soft_jaccard(logits_BKHW, labels_BHW))


def supervised_losses(supervised: Sequence[Supervised], labels_BHW: Tensor, fraction: float) -> Tensor:
    """Return the weighted mean of the losses of all supervised logits of a frame, [B]."""
    return torch.stack([s.weight * frame_loss(s.logits, labels_BHW, fraction) for s in supervised]).sum(0)


def reference_weight(step: int, total_steps: int, ratio: float = 1.0) -> float:
    """Return the weight of the loss on the reference frame, falling linearly from 1 to 0 at ``ratio * total_steps``."""
    end = ratio * total_steps + 1e-5
    return max(0.0, end - step) / end


def clip_loss(frame_losses_TB: Tensor, reference: float) -> Tensor:
    """Return the loss of a clip: the weighted mean of the reference frame (row 0) plus the mean of all other frames."""
    return reference * frame_losses_TB[0].mean() + torch.mean(frame_losses_TB[1:])


@CLIP_LOSSES.register("bootstrapped_jaccard")
def bootstrapped_jaccard(
    clips: Clips, labels_TBHW: Tensor, counts: Sequence[int], stage: StageConfig, step: int
) -> Tensor:
    """Return AOT's loss of a batch: the mean over clips and frames, including the reference frame."""
    total = stage.total_steps
    fraction = kept_fraction(step, stage.mining_ratio * total, stage.hard_pixel_ratio)
    losses = [supervised_losses(x, labels, fraction) for x, labels in zip(clips, labels_TBHW, strict=True)]
    weight = stage.reference_weight * reference_weight(step, total, stage.reference_ratio)
    return clip_loss(torch.stack(losses), weight)


def kept_fraction_between(step: int, start: int, end: int, least: float = 0.15) -> float:
    """Return the fraction of the hardest pixels that count: 1 until ``start``, then linear to ``least`` at ``end``."""
    if step < start:
        return 1.0
    return least + (1.0 - least) * (end - step) / (end - start) if step < end else least


def dice(masks_BOHW: Tensor, labels_BHW: Tensor) -> Tensor:
    """Return 1 - smoothed Dice coefficient, the mean over clips and objects. Absent objects have empty masks."""
    objects = torch.arange(1, masks_BOHW.shape[1] + 1, device=labels_BHW.device)
    truth = (labels_BHW[:, None] == objects[:, None, None]).to(masks_BOHW).flatten(2)
    masks = (masks_BOHW * (labels_BHW != IGNORE)[:, None]).flatten(2)
    return (1 - (2 * (masks * truth).sum(2) + 1) / (masks.sum(2) + truth.sum(2) + 1)).mean()


def dice_of_batch(masks_BOHW: Tensor, labels_BHW: Tensor) -> Tensor:
    """Return the Dice loss over the pixels of all clips together, the mean over objects."""
    return dice(masks_BOHW.transpose(0, 1).flatten(1, 2)[None], labels_BHW.flatten(0, 1)[None])


def _supervised_after_first(
    clips: Clips, labels_TBHW: Tensor, counts: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield masked logits, probabilities of objects, and labels of frames 1 to T - 1.

    Logits of objects that a clip doesn't have are -inf; these objects are the last ones.
    """
    absent = _classes(clips[0][0].logits) > labels_TBHW.new_tensor(counts).view(-1, 1, 1, 1)
    for ((_, logits),), labels in zip(clips, labels_TBHW[1:], strict=True):
        yield logits.masked_fill(absent, -torch.inf), logits.softmax(1)[:, 1:], labels


def _mining_steps(stage: StageConfig) -> tuple[int, int]:
    return stage.mining_steps or (0, round(stage.mining_ratio * stage.total_steps))


@CLIP_LOSSES.register("bootstrapped_dice")
def bootstrapped_dice(
    clips: Clips, labels_TBHW: Tensor, counts: Sequence[int], stage: StageConfig, step: int
) -> Tensor:
    """Return XMem's loss of a batch: bootstrapped cross entropy and Dice loss, summed over frames 1 to T - 1.

    Args:
        clips: one supervised [B, K, H, W] for each of these frames.
        labels_TBHW: object ids of all T frames.
        counts: number of objects of each clip.
        stage: the stage, for hard pixel mining.
        step: number of the training step.
    """
    fraction = kept_fraction_between(step, *_mining_steps(stage), stage.hard_pixel_ratio)
    total = clips[0][0].logits.new_zeros(())
    for logits, masks, labels in _supervised_after_first(clips, labels_TBHW, counts):
        total = total + bootstrapped_cross_entropy(logits, labels, fraction).mean() + dice(masks, labels)
    return total


@CLIP_LOSSES.register("bootstrapped_dice_ignoring")
def bootstrapped_dice_ignoring(
    clips: Clips, labels_TBHW: Tensor, counts: Sequence[int], stage: StageConfig, step: int
) -> Tensor:
    """Return JointFormer's loss for labels with ignored pixels (VOST).

    It differs from :func:`bootstrapped_dice` in two ways: before hard pixel mining starts, the mean is over valid
    pixels only, and the Dice loss is that of all clips together.
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
