"""Dynamic mask head: convolutions whose weights are predicted per query (CondInst, ECCV 2020; ReferFormer, 3.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CHANNELS = 8
STRIDE = 4


def parameter_count(features: int) -> int:
    """Return the number of weights and biases per query, of layers (features + 2 coordinates) -> 8 -> 8 -> 1."""
    return sum(_splits(features))


def _splits(features: int) -> list[int]:
    return [(features + 2) * CHANNELS, CHANNELS * CHANNELS, CHANNELS, CHANNELS, CHANNELS, 1]


def dynamic_masks(features_FCHW: Tensor, parameters_FQP: Tensor, references_FQ2: Tensor, sizes_F2: Tensor) -> Tensor:
    """Compute mask logits at stride 4 -> [F, Q, H, W].

    Args:
        features_FCHW: mask features of each frame.
        parameters_FQP: weights and biases of each query, P = ``parameter_count(C)``.
        references_FQ2: x, y of each query in fractions of the frame.
        sizes_F2: height and width of the frames without padding, in pixels.
    """
    with torch.autocast(features_FCHW.device.type, enabled=False):  # half precision overflows
        return _dynamic_masks(features_FCHW.float(), parameters_FQP.float(), references_FQ2.float(), sizes_F2)


def _dynamic_masks(features_FCHW: Tensor, parameters_FQP: Tensor, references_FQ2: Tensor, sizes_F2: Tensor) -> Tensor:
    frames, channels, height, width = features_FCHW.shape
    queries = parameters_FQP.shape[1]
    w0, w1, w2, b0, b1, b2 = parameters_FQP.split(_splits(channels), -1)
    w0 = w0.unflatten(2, (CHANNELS, -1))
    # the features' part of the first layer is one product for all queries; the coordinates' parts are outer sums
    x = w0[..., :channels].flatten(1, 2) @ features_FCHW.flatten(2)
    x = x.view(frames, queries, CHANNELS, height, width) + b0[..., None, None]
    for axis, count in ((0, width), (1, height)):
        centers = torch.arange(count, device=x.device, dtype=references_FQ2.dtype) * STRIDE + STRIDE // 2
        place = references_FQ2[..., axis] * sizes_F2[:, None, 1 - axis].to(references_FQ2)
        relative = w0[..., channels + axis, None] * (place[..., None] - centers)[:, :, None]
        x = x + (relative[..., None, :] if axis == 0 else relative[..., None])
    x = F.relu(x).flatten(3)
    x = F.relu(w1.unflatten(2, (CHANNELS, CHANNELS)) @ x + b1[..., None])
    x = w2[:, :, None] @ x + b2[..., None]
    return x.view(frames, queries, height, width)
