"""Video Swin Transformer (Liu et al., CVPR 2022) as a feature pyramid for clips of any size.

Shapes: B clips, T frames, H W map, C channels, W windows, K positions of a window.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.networks.encoders.base import Encoder
from voskit.networks.encoders.swin import SWIN_SIZES, PatchMerging, drop_path_rates
from voskit.networks.layers.mlp import Mlp
from voskit.networks.layers.norms import DropPath

WINDOW = (8, 7, 7)
_WINDOWS_AT_ONCE = 64


class VideoWindowAttention(nn.Module):
    """Self-attention inside windows, with a learned bias for each relative position."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        spans = [2 * n - 1 for n in WINDOW]
        self.relative_position_bias_table = nn.Parameter(torch.zeros(spans[0] * spans[1] * spans[2], heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        places = torch.cartesian_prod(*(torch.arange(n) for n in WINDOW))
        apart = places[:, None] - places + torch.tensor(WINDOW) - 1
        index = (apart[..., 0] * spans[1] + apart[..., 1]) * spans[2] + apart[..., 2]
        self.register_buffer("relative_position_index", index)

    def forward(self, x_WKC: Tensor, mask_WKK: Tensor | None) -> Tensor:
        """Attend in the windows of all clips; ``mask_WKK`` is added to the scores of each clip."""
        windows, length, dim = x_WKC.shape
        q, k, v = self.qkv(x_WKC).view(windows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # smaller windows read the corner of the table of full ones, as published
        places = torch.arange(length, device=x_WKC.device)
        index = self.relative_position_index[places[:, None], places]
        bias = self.relative_position_bias_table[index].permute(2, 0, 1)[None].to(q.dtype)
        parts = []
        for i in range(0, windows, _WINDOWS_AT_ONCE):  # scores of all windows would take gigabytes
            own = bias
            if mask_WKK is not None:
                masks = torch.arange(i, min(i + _WINDOWS_AT_ONCE, windows), device=x_WKC.device) % len(mask_WKK)
                own = bias + mask_WKK[masks, None].to(bias)
            part = slice(i, i + _WINDOWS_AT_ONCE)
            parts.append(F.scaled_dot_product_attention(q[part], k[part], v[part], attn_mask=own))
        return self.proj(torch.cat(parts).transpose(1, 2).reshape(windows, length, dim))


class VideoSwinBlock(nn.Module):
    """Window attention and an MLP; in every other block, windows are shifted by half their size."""

    def __init__(self, dim: int, heads: int, shifted: bool, drop_path: float) -> None:
        super().__init__()
        self.shifted = shifted
        self.norm1 = nn.LayerNorm(dim)
        self.attn = VideoWindowAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x_BTHWC: Tensor, mask_WKK: Tensor | None) -> Tensor:
        size = x_BTHWC.shape[1:4]
        window, shift = window_and_shift(size)
        if not self.shifted:
            shift = (0, 0, 0)
        x = F.pad(self.norm1(x_BTHWC), (0, 0, *_padding(size, window)))
        if any(shift):
            x = x.roll([-n for n in shift], (1, 2, 3))
        padded = x.shape[1:4]
        x = self.attn(split_windows(x, window), mask_WKK if any(shift) else None)
        x = _join_windows(x, padded, window)
        if any(shift):
            x = x.roll(shift, (1, 2, 3))
        x = x_BTHWC + self.drop_path(x[:, : size[0], : size[1], : size[2]])
        return x + self.drop_path(self.mlp(self.norm2(x)))


def window_and_shift(size: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the window and the shift for a map; an axis no longer than the window is one window, unshifted."""
    window = tuple(w if n > w else n for n, w in zip(size, WINDOW, strict=True))
    shift = tuple(w // 2 if n > w else 0 for n, w in zip(size, WINDOW, strict=True))
    return window, shift


def _padding(size: Sequence[int], window: Sequence[int]) -> list[int]:
    """Return arguments of ``F.pad`` that fill up whole windows, for W, H, T."""
    pairs = zip(reversed(size), reversed(window), strict=True)
    return [pad for n, w in pairs for pad in (0, -n % w if n > w else 0)]


def split_windows(x_BTHWC: Tensor, window: Sequence[int]) -> Tensor:
    """Split maps into windows -> [B * windows, K, C]."""
    d, h, w = window
    x = x_BTHWC.unflatten(3, (-1, w)).unflatten(2, (-1, h)).unflatten(1, (-1, d))
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, d * h * w, x_BTHWC.shape[-1])


def _join_windows(x_WKC: Tensor, size: Sequence[int], window: Sequence[int]) -> Tensor:
    """Join windows to maps -> [B, T, H, W, C]."""
    counts = [n // w for n, w in zip(size, window, strict=True)]
    x = x_WKC.view(-1, *counts, *window, x_WKC.shape[-1]).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return x.reshape(-1, *size, x_WKC.shape[-1])


def _shift_mask(x_BTHWC: Tensor) -> Tensor | None:
    """Mask the scores between parts of a shifted window that aren't adjacent in the clip: -100, else 0 [W, K, K]."""
    size = x_BTHWC.shape[1:4]
    window, shift = window_and_shift(size)
    if not any(shift):
        return None
    region = torch.zeros((), device=x_BTHWC.device)
    for axis, (n, w, s) in enumerate(zip(size, window, shift, strict=True)):
        band = torch.zeros(n + -n % w, device=x_BTHWC.device)
        if s:
            band[-w:] = 1
            band[-s:] = 2
        region = region * 3 + band.view([-1 if a == axis else 1 for a in range(3)])
    region = split_windows(region[None, ..., None], window)[..., 0]
    return (region[:, None] != region[:, :, None]).to(x_BTHWC.dtype) * -100.0


class VideoSwinStage(nn.Module):
    """Blocks at one resolution."""

    def __init__(self, dim: int, heads: int, drop_path: list[float]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(VideoSwinBlock(dim, heads, bool(i % 2), rate) for i, rate in enumerate(drop_path))

    def forward(self, x_BTHWC: Tensor) -> Tensor:
        mask = _shift_mask(x_BTHWC)
        for block in self.blocks:
            x_BTHWC = block(x_BTHWC, mask)
        return x_BTHWC


class VideoPatchEmbed(nn.Module):
    """Embedding of 1 x 4 x 4 patches, padded to multiples of 4, and a LayerNorm -> [B, T, H / 4, W / 4, C]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, dim, (1, 4, 4), (1, 4, 4))
        self.norm = nn.LayerNorm(dim)

    def forward(self, frames_B3THW: Tensor) -> Tensor:
        height, width = frames_B3THW.shape[3:]
        x = F.pad(frames_B3THW, (0, -width % 4, 0, -height % 4))
        return self.norm(self.proj(x).permute(0, 2, 3, 4, 1))


class VideoSwin(Encoder):
    """Video Swin Transformer: maps at strides 4, 8, 16 and 32, without output norms.

    Args:
        dim: width of the first stage.
        depths: number of blocks of each stage.
        heads: attention heads of each stage.
        drop_path: rate of the last block, rising linearly from 0 at the first.
    """

    over_time = True
    temporal_window = WINDOW[0]
    pretrained_unused = ("cls_head.", "norm.")

    def __init__(self, dim: int, depths: Sequence[int], heads: Sequence[int], drop_path: float = 0.0) -> None:
        super().__init__()
        widths = [dim * 2**i for i in range(4)]
        self.channels = (widths[0], widths[1], widths[2], widths[3])
        self.patch_embed = VideoPatchEmbed(dim)
        rates = drop_path_rates(depths, drop_path)
        self.layers = nn.ModuleList(
            VideoSwinStage(width, n, own) for width, n, own in zip(widths, heads, rates, strict=True)
        )
        self.downsamples = nn.ModuleList(PatchMerging(width) for width in widths[:3])

    def forward(self, image_B3HW: Tensor, length: int = 1) -> list[Tensor]:
        """Encode clips of ``length`` frames, which follow each other on the batch axis."""
        x = self.patch_embed(image_B3HW.unflatten(0, (-1, length)).transpose(1, 2))
        maps = []
        for i, stage in enumerate(self.layers):
            if i:
                clips = len(x)
                x = self.downsamples[i - 1](x.flatten(0, 1)).unflatten(0, (clips, -1))
            x = stage(x)
            maps.append(x.flatten(0, 1).permute(0, 3, 1, 2))
        return maps

    def stages(self) -> list[list[nn.Module]]:
        later = [[down, stage] for down, stage in zip(self.downsamples, self.layers[1:], strict=True)]
        return [[self.patch_embed], [self.layers[0]], *later]

    @staticmethod
    def convert_pretrained(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Convert a Kinetics file: remove ``backbone.``, move downsampling, sum the two frames of its patches."""
        out = {}
        for name, x in state.items():
            name = name.removeprefix("backbone.")
            if name.endswith(".attn_mask"):
                continue
            if ".downsample." in name:
                place, rest = name.removeprefix("layers.").split(".downsample.")
                name = f"downsamples.{place}.{rest}"
            out[name] = x.sum(2, keepdim=True) if name == "patch_embed.proj.weight" else x
        return out


def build_video_swin(size: str, drop_path: float = 0.0) -> VideoSwin:
    """Build a Video Swin with windows of 8 x 7 x 7."""
    dim, depths, heads = SWIN_SIZES[size]
    return VideoSwin(dim, depths, heads, drop_path)
