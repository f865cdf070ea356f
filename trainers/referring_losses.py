"""Query matching and loss of ReferFormer (CVPR 2022, section 3.5).

Shapes: B samples (a clip and a text prompt), T frames, Q queries, K classes, H W frames padded to a common size,
h w = a quarter of H W rounded up to multiples of 32, N numbers that a sum runs over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

LOSS_WEIGHTS = {"loss_ce": 2.0, "loss_bbox": 5.0, "loss_giou": 2.0, "loss_mask": 2.0, "loss_dice": 5.0}
"""Weights of the terms of the loss, and of the terms of the matching cost, which have the same names."""
FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2.0
STRIDE = 4
"""Stride of predicted masks."""
DIVISOR = 32
"""Divisor of the height and width of padded frames."""


class Predicted(Protocol):
    """Output of a decoder layer for a batch."""

    @property
    def logits(self) -> Tensor:
        """Logits of a query being the object, [B, T, Q, K]."""

    @property
    def boxes(self) -> Tensor:
        """cx, cy, w, h as fractions of the frame without padding, [B, T, Q, 4]."""

    @property
    def masks(self) -> Tensor:
        """Logits at stride 4, [B, T, Q, h, w]."""


@dataclass(frozen=True)
class Target:
    """Ground truth of the object that each sample refers to."""

    masks_BTHW: Tensor
    """Bool; False in the padding and in frames without the object."""
    boxes_BT4: Tensor
    """cx, cy, w, h as fractions of the frame without padding; 0 in frames without the object."""
    valid_BT: Tensor
    """Bool; True if the object is in the frame."""
    labels_B: Tensor
    """Class of the object, int64 from 0 to K - 1."""


def _sampled_masks(predicted: Predicted, target: Target) -> Tensor:
    """Sample true masks at the pixels of predicted masks, every 4th from index 2. Return float [B, T, h, w]."""
    masks = target.masks_BTHW
    height, width = (-(-size // DIVISOR) * DIVISOR // STRIDE for size in masks.shape[-2:])
    if (*masks.shape[:2], height, width) != (*predicted.masks.shape[:2], *predicted.masks.shape[-2:]):
        raise ValueError(
            f"true masks [B, T, H, W] = {tuple(masks.shape)} need predicted masks of {height} x {width} pixels, but "
            f"these are [B, T, Q, h, w] = {tuple(predicted.masks.shape)}: pad frames to multiples of {DIVISOR}"
        )
    masks = masks[..., STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE].float()
    return F.pad(masks, (0, width - masks.shape[-1], 0, height - masks.shape[-2]))


def _focal(logits: Tensor, truth: Tensor) -> Tensor:
    # not above: torchvision loads PyTorch's compiler, which takes seconds
    from torchvision.ops import sigmoid_focal_loss

    return sigmoid_focal_loss(logits, truth, FOCAL_ALPHA, FOCAL_GAMMA)


def _class_cost(logits: Tensor) -> Tensor:
    """Return the focal loss for a target of 1 minus that for a target of 0, with the constant of the original."""
    p = logits.sigmoid()
    positive = FOCAL_ALPHA * (1 - p) ** FOCAL_GAMMA * -(p + 1e-8).log()
    negative = (1 - FOCAL_ALPHA) * p**FOCAL_GAMMA * -(1 - p + 1e-8).log()
    return positive - negative


def _dice(logits_N: Tensor, truth_N: Tensor) -> Tensor:
    """Return the smoothed Dice coefficient over the last axis."""
    masks_N = logits_N.sigmoid()
    return (2 * (masks_N * truth_N).sum(-1) + 1) / (masks_N.sum(-1) + truth_N.sum(-1) + 1)


def _corners(boxes_4: Tensor) -> Tensor:
    """Convert boxes (cx, cy, w, h) to (x0, y0, x1, y1)."""
    center, size = boxes_4.split(2, -1)
    return torch.cat([center - size / 2, center + size / 2], -1)


def _giou(boxes_4: Tensor, others_4: Tensor, eps: float = 1e-6) -> Tensor:
    """Return the generalized IoU of pairs of boxes (cx, cy, w, h).

    torchvision's function differs: it adds the constant to denominators only.
    """
    boxes, others = _corners(boxes_4), _corners(others_4)
    inter = (torch.minimum(boxes, others)[..., 2:] - torch.maximum(boxes, others)[..., :2]).clamp(min=0).prod(-1)
    hull = (torch.maximum(boxes, others)[..., 2:] - torch.minimum(boxes, others)[..., :2]).prod(-1)
    union = boxes_4[..., 2:].prod(-1) + others_4[..., 2:].prod(-1) - inter
    return (inter + eps) / (union + eps) - (hull - union + eps) / (hull + eps)


def _weighted(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([weight * terms[name] for name, weight in LOSS_WEIGHTS.items()]).sum(0)


@torch.no_grad()
def matching_cost(predicted: Predicted, target: Target) -> Tensor:
    """Return the cost of matching each query to the object of its sample, float32 [B, Q].

    The class cost counts frames with the object only, the costs of boxes and masks count all frames.

    Raises:
        ValueError: the sizes of true and predicted masks don't match.
    """
    samples = torch.arange(len(target.labels_B), device=target.labels_B.device)
    scores = _class_cost(predicted.logits.float()[samples, :, :, target.labels_B])  # [B, T, Q]
    valid = target.valid_BT[..., None]
    boxes, true_boxes = predicted.boxes.float(), target.boxes_BT4.float()[:, :, None]
    masks = predicted.masks.float().transpose(1, 2).flatten(2)  # [B, Q, N]
    true_masks = _sampled_masks(predicted, target).flatten(1)[:, None].expand_as(masks)
    return _weighted(
        {
            "loss_ce": (scores * valid).sum(1) / valid.sum(1).clamp(min=1),
            "loss_bbox": (boxes - true_boxes).abs().sum(-1).mean(1),
            "loss_giou": -_giou(boxes, true_boxes).mean(1),
            "loss_mask": _focal(masks, true_masks).mean(-1),
            "loss_dice": -_dice(masks, true_masks),
        }
    )


def match(predicted: Predicted, target: Target) -> Tensor:
    """Return the query with the lowest cost for each sample, the same in all frames, int64 [B]."""
    return matching_cost(predicted, target).argmin(1)


def layer_losses(
    predicted: Predicted, target: Target, matched_B: Tensor, num_boxes: float | Tensor
) -> dict[str, Tensor]:
    """Return the unweighted loss terms of a decoder layer, float32 scalars by the names in ``LOSS_WEIGHTS``.

    In frames without the object the targets are boxes of size 0 and empty masks.

    Args:
        predicted: output of the layer.
        target: ground truth.
        matched_B: the query of each sample that is trained to be the object. All others are trained to be nothing.
        num_boxes: number of frames with the object in the batch, the mean over processes, at least 1. It also divides
            the mask terms, which are means over clips.

    Raises:
        ValueError: the sizes of true and predicted masks don't match.
    """
    samples = torch.arange(len(matched_B), device=matched_B.device)
    logits, labels = predicted.logits.float(), target.labels_B
    queries, classes = (torch.arange(n, device=logits.device) for n in logits.shape[2:])
    positive = (queries[:, None] == matched_B[:, None, None]) & (classes == labels[:, None, None])  # [B, Q, K]
    positive = positive[:, None] & target.valid_BT[:, :, None, None]
    boxes, true_boxes = predicted.boxes.float()[samples, :, matched_B], target.boxes_BT4.float()
    masks = predicted.masks[samples, :, matched_B].float().flatten(1)  # [B, N]
    true_masks = _sampled_masks(predicted, target).flatten(1)
    sums = {
        "loss_ce": _focal(logits, positive.float()).sum(),
        "loss_bbox": (boxes - true_boxes).abs().sum(),
        "loss_giou": (1 - _giou(boxes, true_boxes)).sum(),
        "loss_mask": _focal(masks, true_masks).mean(-1).sum(),
        "loss_dice": (1 - _dice(masks, true_masks)).sum(),
    }
    return {name: total / num_boxes for name, total in sums.items()}


def referring_loss(layers: Sequence[Predicted], target: Target, num_boxes: float | Tensor) -> Tensor:
    """Return the weighted loss of a batch, summed over the decoder layers, as a float32 scalar.

    Each layer is matched independently.

    Args:
        layers: outputs of the decoder layers, first to last.
        target: ground truth.
        num_boxes: as in :func:`layer_losses`.

    Raises:
        ValueError: the sizes of true and predicted masks don't match.
    """
    losses = [_weighted(layer_losses(layer, target, match(layer, target), num_boxes)) for layer in layers]
    return torch.stack(losses).sum()
