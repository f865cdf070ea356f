"""Cross-modal feature pyramid of ReferFormer (section 3.4), from stride 32 to 4, conditioned on the text prompt.

Names of tensors are those of the published checkpoints.

Shapes: B clips, T frames, L words, C channels, X = T * h * w positions of a clip's maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from voskit.networks.encoders.roberta import Text

SUBSAMPLING = (1, 2, 4, 8)
"""Subsampling of the maps for self-attention, by stride: every n-th position."""
_POSITIONS_AT_ONCE = {"cpu": 2**11}
"""Positions per call of word attention and feed-forward part if no gradient is needed, by device type; others 2^15. On
a CPU they fit into the cache."""


class WordFusion(nn.Module):
    """Fusion of a map with words: each position is multiplied by its attention to the words (ReferFormer, 3.2)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, x_BXC: Tensor, text: Text) -> Tensor:
        return x_BXC * _read_words(self.multihead_attn, x_BXC, text)


def _read_words(attention: nn.Module, x_BXC: Tensor, text: Text) -> Tensor:
    keys = text.words + text.positions
    return attention(x_BXC, keys, text.words, key_padding_mask=text.padding, need_weights=False)[0]


class _NormedConv(nn.Conv2d):
    """Convolution and group norm."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__(channels, out, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(8, out)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.norm(super().forward(x_BCHW))


class VisionLanguageBlock(nn.Module):
    """Self-attention over all frames of a clip in subsampled maps, attention to words, and a feed-forward part."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, subsampling: int) -> None:
        super().__init__()
        self.subsampling = subsampling
        self.self_attn = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.linear1 = nn.Linear(dim, hidden)
        self.linear2 = nn.Linear(hidden, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTCHW: Tensor, position_BTCHW: Tensor, padding_BTHW: Tensor, text: Text) -> Tensor:
        """Run the block -> [B, T, C, H, W]; positions and padding may have a single frame that applies to all."""
        batch, length, _, height, width = x_BTCHW.shape
        found = self._over_time(x_BTCHW, position_BTCHW, padding_BTHW)
        if torch.is_grad_enabled() or torch.compiler.is_exporting():
            maps = x_BTCHW + self.dropout(_resized(found, (height, width)))
            y = self._attend_to_words(_to_tokens(maps), _to_tokens(position_BTCHW.expand_as(maps)), text)
        else:
            y = x_BTCHW.new_empty(batch, length * height * width, self.linear2.out_features)
            self._fill(y, x_BTCHW, found, position_BTCHW, text)
        return y.view(batch, length, height, width, -1).permute(0, 1, 4, 2, 3)

    def _fill(self, y_BXC: Tensor, x_BTCHW: Tensor, found_BTChw: Tensor, position_BTCHW: Tensor, text: Text) -> None:
        """Fill the result frame by frame, in parts, to save memory."""
        batch, length, _, height, width = x_BTCHW.shape
        at_once = max(1, _POSITIONS_AT_ONCE.get(x_BTCHW.device.type, 2**15) // batch)
        for t, rows in enumerate(y_BXC.unflatten(1, (length, height * width)).unbind(1)):
            maps = x_BTCHW[:, t : t + 1] + _resized(found_BTChw[:, t : t + 1], (height, width))
            own = t if position_BTCHW.shape[1] > 1 else 0
            where = _to_tokens(position_BTCHW[:, own : own + 1]).expand(batch, -1, -1)
            parts = zip(*(z.split(at_once, 1) for z in (rows, _to_tokens(maps), where)), strict=True)
            for row, x, position in parts:
                row.copy_(self._attend_to_words(x, position, text))

    def _over_time(self, x_BTCHW: Tensor, position_BTCHW: Tensor, padding_BTHW: Tensor) -> Tensor:
        """Attend between the subsampled maps of all frames -> [B, T, C, h, w]."""
        batch, length, _, height, width = x_BTCHW.shape
        size = (max(1, height // self.subsampling), max(1, width // self.subsampling))
        few, where, padding = (_subsampled(x, size) for x in (x_BTCHW, position_BTCHW, padding_BTHW[:, :, None]))
        few, where = (_to_tokens(x.expand(-1, length, -1, -1, -1)) for x in (few, where))
        ignored = None
        if torch.compiler.is_exporting() or padding.any():  # the values are unknown while a graph is exported
            ignored = padding.expand(-1, length, -1, -1, -1).reshape(batch, -1).bool()
        found = self.self_attn(few + where, few + where, few, key_padding_mask=ignored, need_weights=False)[0]
        return found.reshape(batch, length, *size, -1).permute(0, 1, 4, 2, 3)

    def _attend_to_words(self, x_BXC: Tensor, position_BXC: Tensor, text: Text) -> Tensor:
        x_BXC = self.norm1(x_BXC)
        x_BXC = self.norm2(x_BXC + self.dropout(_read_words(self.multihead_attn, x_BXC + position_BXC, text)))
        return self.norm3(x_BXC + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x_BXC))))))


def _subsampled(x_BTCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Subsample maps to a smaller size by nearest neighbors."""
    if x_BTCHW.shape[3:] == size:
        return x_BTCHW
    x = x_BTCHW.flatten(0, 1)
    return F.interpolate(x if x.is_floating_point() else x.float(), size).unflatten(0, x_BTCHW.shape[:2])


def _resized(x_BTCHW: Tensor, size: tuple[int, int]) -> Tensor:
    if x_BTCHW.shape[3:] == size:
        return x_BTCHW
    maps = F.interpolate(x_BTCHW.flatten(0, 1), size, mode="bilinear", align_corners=False)
    return maps.unflatten(0, x_BTCHW.shape[:2])


def _to_tokens(x_BTCHW: Tensor) -> Tensor:
    return x_BTCHW.permute(0, 1, 3, 4, 2).flatten(1, 3)


class CrossModalPyramid(nn.Module):
    """Feature pyramid: transformer maps at strides 32, 16 and 8 and an encoder map at stride 4 to mask features.

    Args:
        channels: width of the map at stride 4.
        dim: width of the other maps and of the result.
        heads: attention heads.
        hidden: width of the feed-forward parts.
        dropout: dropout rate.
    """

    def __init__(self, channels: int, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        for k, subsampling in zip((4, 3, 2, 1), SUBSAMPLING, strict=True):
            self.add_module(f"adapter_{k}", _NormedConv(channels if k == 1 else dim, dim, 1))
            self.add_module(f"cross_attn_{k}", VisionLanguageBlock(dim, heads, hidden, dropout, subsampling))
            self.add_module(f"layer_{k}", _NormedConv(dim, dim, 3))
        self.mask_features = nn.Conv2d(dim, dim, 3, padding=1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize the parameters as published."""
        for part in self.modules():
            if isinstance(part, VisionLanguageBlock):
                for parameter in part.parameters():
                    if parameter.ndim > 1:
                        nn.init.xavier_uniform_(parameter)
            elif isinstance(part, nn.Conv2d):
                nn.init.kaiming_uniform_(part.weight, a=1)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(
        self,
        maps_BTCHW: Sequence[Tensor],
        positions_BCHW: Sequence[Tensor],
        padding_BHW: Sequence[Tensor],
        text: Text,
    ) -> Tensor:
        """Compute the mask features at stride 4 -> [B, T, C, H, W].

        Args:
            maps_BTCHW: from stride 32 to stride 4.
            positions_BCHW: position embeddings of the maps, common to all frames of a clip.
            padding_BHW: padding of the maps, common to all frames of a clip.
            text: encoded text prompts.
        """
        batch, length = maps_BTCHW[0].shape[:2]
        y: Tensor | None = None
        for k, maps, position, padding in zip((4, 3, 2, 1), maps_BTCHW, positions_BCHW, padding_BHW, strict=True):
            x = self.get_submodule(f"adapter_{k}")(maps.flatten(0, 1)).unflatten(0, (batch, length))
            x = self.get_submodule(f"cross_attn_{k}")(x, position[:, None], padding[:, None], text).flatten(0, 1)
            if y is not None:
                x = F.interpolate(y, x.shape[2:]) + x
            y = F.relu(self.get_submodule(f"layer_{k}")(x), inplace=True)
        assert y is not None
        return self.mask_features(y).unflatten(0, (batch, length))
