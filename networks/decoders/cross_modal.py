"""The cross-modal feature pyramid of ReferFormer (section 3.4): maps from stride 32 to 4 that see the sentence.

Names of tensors are those of the published checkpoints.

Shapes: B clips, T frames, L words, C channels, X = T * h * w positions of a clip's maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.encoders.roberta import Text

STRIDES = (32, 16, 8, 4)
SUBSAMPLING = (1, 2, 4, 8)
"""What self-attention takes of the maps at these strides: every n-th position."""
_MAX_POSITIONS = 2**15
"""Positions that go through the word attention and the feed-forward part at a time where no gradient is wanted."""


class WordFusion(nn.Module):
    """Positions of a map, multiplied by what they find among the words (ReferFormer, section 3.2)."""

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
    """Self-attention over all frames of a clip, in subsampled maps; attention to words; a feed-forward part."""

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
        """-> [B, T, C, H, W]; positions and padding may have one frame, which stands for all."""
        batch, length, _, height, width = x_BTCHW.shape
        position_BTCHW = position_BTCHW.expand(-1, length, -1, -1, -1)
        padding_BTHW = padding_BTHW.expand(-1, length, -1, -1)
        x_BXC = _to_tokens(x_BTCHW + self.dropout(self._over_time(x_BTCHW, position_BTCHW, padding_BTHW)))
        at_once = x_BXC.shape[1] if torch.is_grad_enabled() else max(1, _MAX_POSITIONS // batch)
        positions = _to_tokens(position_BTCHW)
        parts = [
            self._of_words(x, p, text)
            for x, p in zip(x_BXC.split(at_once, 1), positions.split(at_once, 1), strict=True)
        ]
        return torch.cat(parts, 1).view(batch, length, height, width, -1).permute(0, 1, 4, 2, 3)

    def _over_time(self, x_BTCHW: Tensor, position_BTCHW: Tensor, padding_BTHW: Tensor) -> Tensor:
        height, width = x_BTCHW.shape[3:]
        size = (max(1, height // self.subsampling), max(1, width // self.subsampling))
        clips = x_BTCHW.shape[:2]
        few, where, padding = (x.flatten(0, 1) for x in (x_BTCHW, position_BTCHW, padding_BTHW[:, :, None]))
        if self.subsampling > 1:
            few, where, padding = (F.interpolate(x.to(few), size) for x in (few, where, padding))
        few, where = (_to_tokens(x.unflatten(0, clips)) for x in (few, where))
        ignored = padding.bool().view(clips[0], -1) if padding.any() else None
        found = self.self_attn(few + where, few + where, few, key_padding_mask=ignored, need_weights=False)[0]
        maps = found.reshape(-1, *size, found.shape[-1]).permute(0, 3, 1, 2)
        if self.subsampling > 1:
            maps = F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)
        return maps.unflatten(0, clips)

    def _of_words(self, x_BXC: Tensor, position_BXC: Tensor, text: Text) -> Tensor:
        x_BXC = self.norm1(x_BXC)
        x_BXC = self.norm2(x_BXC + self.dropout(_read_words(self.multihead_attn, x_BXC + position_BXC, text)))
        return self.norm3(x_BXC + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x_BXC))))))


def _to_tokens(x_BTCHW: Tensor) -> Tensor:
    return x_BTCHW.permute(0, 1, 3, 4, 2).flatten(1, 3)


class CrossModalPyramid(nn.Module):
    """From the transformer's maps at strides 32, 16, 8 and the encoder's at stride 4 to features of the mask head.

    Args:
        channels: width of the map at stride 4.
        dim: width of the others, and of the result.
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
        """Initialise as published."""
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
        """All from stride 32 to 4; positions and padding are those of a clip's every frame -> [B, T, C, H, W]."""
        batch, length = maps_BTCHW[0].shape[:2]
        y: Tensor | None = None
        for k, maps, position, padding in zip((4, 3, 2, 1), maps_BTCHW, positions_BCHW, padding_BHW, strict=True):
            x = self.get_submodule(f"adapter_{k}")(maps.flatten(0, 1)).unflatten(0, (batch, length))
            x = self.get_submodule(f"cross_attn_{k}")(x, position[:, None], padding[:, None], text).flatten(0, 1)
            if y is not None:
                x = x + F.interpolate(y, x.shape[2:])
            y = F.relu(self.get_submodule(f"layer_{k}")(x))
        assert y is not None
        return self.mask_features(y).unflatten(0, (batch, length))
