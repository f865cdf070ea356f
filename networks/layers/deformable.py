"""Deformable transformer of ReferFormer (section 3.3), after Deformable DETR (Zhu et al., ICLR 2021).

Names of tensors are those of the published checkpoints.

Shapes: F frames on the batch axis, M positions of all S maps of a frame, Q queries, C channels, N heads, P points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.networks.ops.deformable_attention import deformable_attention


class Pyramid(NamedTuple):
    """Positions of maps of several sizes, concatenated."""

    sizes: list[tuple[int, int]]
    """Height and width of the maps."""
    positions: Tensor
    """Embedding of positions and maps, [F, M, C]."""
    padding: Tensor
    """True for padding, [F, M] bool."""
    valid_ratios: Tensor
    """Fraction of each map's width and height that isn't padding, [F, S, 2]."""

    def part(self, frames: slice) -> Pyramid:
        """Select some of the frames."""
        return Pyramid(self.sizes, self.positions[frames], self.padding[frames], self.valid_ratios[frames])


def inverse_sigmoid(x: Tensor, least: float = 1e-5) -> Tensor:
    """Convert probabilities to logits, clamped away from 0 and 1 by ``least``."""
    if torch.compiler.is_exporting():  # equal values: from two clamps in a row, the ONNX exporter makes invalid graphs
        return torch.log(x.clamp(least, 1.0) / (1 - x).clamp(least, 1.0))
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=least) / (1 - x).clamp(min=least))


class DeformableAttention(nn.Module):
    """Attention to a few points around a reference on each map, at offsets predicted from the query."""

    def __init__(self, dim: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)

    def reset_parameters(self) -> None:
        """Initialize the offsets: each head has its own direction, its points at distances 1, 2, ..."""
        angle = torch.arange(self.heads, dtype=torch.float32) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], -1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.points + 1, dtype=torch.float32)
        bias = direction[:, None, None] * steps[:, None]
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(bias.expand(-1, self.levels, -1, -1).flatten())
        for weight in (self.sampling_offsets.weight, self.attention_weights.weight, self.attention_weights.bias):
            nn.init.zeros_(weight)
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        query_FLC: Tensor,
        references_FLSD: Tensor,
        input_FMC: Tensor,
        sizes: Sequence[tuple[int, int]],
        padding_FM: Tensor | None = None,
    ) -> Tensor:
        """Attend to sampled points of the maps -> [F, L, C].

        Args:
            query_FLC: queries.
            references_FLSD: a point (D = 2: x, y) or box (D = 4: x, y, width, height) on each map, in fractions of it.
            input_FMC: positions of all maps.
            sizes: height and width of the maps.
            padding_FM: True for padding.
        """
        value = self.value_proj(input_FMC)
        if padding_FM is not None:
            value = value.masked_fill(padding_FM[..., None], 0.0)
        locations, weights = self.places(query_FLC, references_FLSD, sizes)
        value = value.unflatten(2, (self.heads, -1))
        return self.output_proj(deformable_attention(value, sizes, locations, weights))

    def places(
        self, query_FLC: Tensor, references_FLSD: Tensor, sizes: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Compute the sampling locations [F, L, N, S, P, 2] and their weights [F, L, N, S, P]."""
        shape = (self.heads, self.levels, self.points)
        offsets = self.sampling_offsets(query_FLC).unflatten(2, (*shape, 2))
        weights = self.attention_weights(query_FLC).unflatten(2, (self.heads, -1)).softmax(-1).unflatten(3, shape[1:])
        references = references_FLSD[:, :, None, :, None]
        if references.shape[-1] == 2:
            scale = offsets.new_tensor([(w, h) for h, w in sizes])[:, None]
            return references + offsets / scale, weights
        return references[..., :2] + offsets / self.points * references[..., 2:] * 0.5, weights


class _FeedForward(nn.Module):
    """Feed-forward part of encoder and decoder layers; a base class, since checkpoints have no submodule for it."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.linear1 = nn.Linear(dim, hidden)
        self.linear2 = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def feed_forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x)))))


class DeformableEncoderLayer(_FeedForward):
    """Encoder layer: deformable self-attention of all positions of a frame, then a feed-forward part."""

    def __init__(self, dim: int, heads: int, levels: int, points: int, hidden: int, dropout: float) -> None:
        super().__init__(dim, hidden, dropout)
        self.self_attn = DeformableAttention(dim, heads, levels, points)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, x_FMC: Tensor, references_FMS2: Tensor, pyramid: Pyramid) -> Tensor:
        sizes, positions, padding, _ = pyramid
        x_FMC = self.norm1(
            x_FMC + self.dropout(self.self_attn(x_FMC + positions, references_FMS2, x_FMC, sizes, padding))
        )
        return self.norm2(self.feed_forward(x_FMC))


class DeformableDecoderLayer(_FeedForward):
    """Decoder layer: self-attention of the queries, deformable attention to the frame, and a feed-forward part."""

    def __init__(self, dim: int, heads: int, levels: int, points: int, hidden: int, dropout: float) -> None:
        super().__init__(dim, hidden, dropout)
        self.cross_attn = DeformableAttention(dim, heads, levels, points)
        self.norm1 = nn.LayerNorm(dim)
        self.self_attn = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)

    def forward(
        self, x_FQC: Tensor, position_FQC: Tensor, references_FQSD: Tensor, memory_FMC: Tensor, pyramid: Pyramid
    ) -> Tensor:
        where = x_FQC + position_FQC
        x_FQC = self.norm2(x_FQC + self.dropout(self.self_attn(where, where, x_FQC, need_weights=False)[0]))
        found = self.cross_attn(x_FQC + position_FQC, references_FQSD, memory_FMC, pyramid.sizes, pyramid.padding)
        return self.norm3(self.feed_forward(self.norm1(x_FQC + self.dropout(found))))


class Decoded(NamedTuple):
    """Output of a decoder layer."""

    queries: Tensor
    """[F, Q, C]."""
    reference: Tensor
    """References of the layer: points [F, Q, 2] or boxes [F, Q, 4], relative to the frame without padding."""
    refined: Tensor
    """References of the next layer: boxes cx, cy, w, h, [F, Q, 4], without gradient."""


class _Layers(nn.Module):
    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


class DeformableTransformer(nn.Module):
    """Encoder of a frame's maps, and decoder of queries that refines their boxes in each layer."""

    def __init__(
        self, dim: int, *, heads: int, levels: int, points: int, layers: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        sizes = (dim, heads, levels, points, hidden, dropout)
        self.encoder = _Layers([DeformableEncoderLayer(*sizes) for _ in range(layers)])
        self.decoder = _Layers([DeformableDecoderLayer(*sizes) for _ in range(layers)])
        self.level_embed = nn.Parameter(torch.empty(levels, dim))
        self.reference_points = nn.Linear(dim, 2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize the parameters as published."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        for part in self.modules():
            if isinstance(part, DeformableAttention):
                part.reset_parameters()
        nn.init.zeros_(self.reference_points.bias)
        nn.init.normal_(self.level_embed)

    def pyramid(self, positions_FCHW: Sequence[Tensor], padding_FHW: Sequence[Tensor]) -> Pyramid:
        """Concatenate position embeddings and padding of all maps."""
        sizes = [(p.shape[1], p.shape[2]) for p in padding_FHW]
        own = [p.flatten(2).transpose(1, 2) + e for p, e in zip(positions_FCHW, self.level_embed, strict=True)]
        ratios = torch.stack([valid_ratio(p) for p in padding_FHW], 1)
        return Pyramid(sizes, torch.cat(own, 1), torch.cat([p.flatten(1) for p in padding_FHW], 1), ratios)

    def encode(self, maps_FCHW: Sequence[Tensor], pyramid: Pyramid) -> Tensor:
        """Encode the positions of all maps -> [F, M, C]."""
        x = torch.cat([m.flatten(2).transpose(1, 2) for m in maps_FCHW], 1)
        references = encoder_references(pyramid.sizes, pyramid.valid_ratios)
        for layer in self.encoder.layers:
            x = layer(x, references, pyramid)
        return x

    def decode(
        self, query_FQC: Tensor, position_QC: Tensor, memory_FMC: Tensor, pyramid: Pyramid, box_heads: nn.ModuleList
    ) -> list[Decoded]:
        """Run all decoder layers, each with the head that refines its boxes."""
        position = position_QC.expand(query_FQC.shape[0], -1, -1)
        reference = self.reference_points(position).float().sigmoid()
        ratios = pyramid.valid_ratios[:, None]
        decoded = []
        for layer, head in zip(self.decoder.layers, box_heads, strict=True):
            scale = ratios if reference.shape[-1] == 2 else torch.cat([ratios, ratios], -1)
            query_FQC = layer(query_FQC, position, reference[:, :, None] * scale, memory_FMC, pyramid)
            refined = refine(head(query_FQC), reference).detach()
            decoded.append(Decoded(query_FQC, reference, refined))
            reference = refined
        return decoded


def refine(offsets_FQ4: Tensor, reference_FQD: Tensor) -> Tensor:
    """Add a predicted offset, in logits, to a point or box -> boxes [F, Q, 4]."""
    known = inverse_sigmoid(reference_FQD.float())  # half precision is too coarse for coordinates
    return (offsets_FQ4 + F.pad(known, (0, 4 - known.shape[-1]))).sigmoid()


def valid_ratio(padding_FHW: Tensor) -> Tensor:
    """Compute the fraction of the width and of the height that isn't padding -> [F, 2]."""
    valid = ~padding_FHW
    return torch.stack([valid[:, 0].float().mean(1), valid[:, :, 0].float().mean(1)], -1)


def encoder_references(sizes: Sequence[tuple[int, int]], valid_ratios_FS2: Tensor) -> Tensor:
    """Compute the location of every position on each of the maps -> [F, M, S, 2], in fractions of width and height."""
    device = valid_ratios_FS2.device
    own = []
    for (height, width), ratio in zip(sizes, valid_ratios_FS2.unbind(1), strict=True):
        y = (torch.arange(height, device=device) + 0.5)[:, None].expand(height, width)
        x = (torch.arange(width, device=device) + 0.5).expand(height, width)
        pixels = torch.stack([x, y], -1).flatten(0, 1)
        own.append(pixels / (ratio * ratio.new_tensor([width, height]))[:, None])
    return torch.cat(own, 1)[:, :, None] * valid_ratios_FS2[:, None]
