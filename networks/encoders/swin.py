"""Swin Transformer (Liu et al., ICCV 2021) as a feature pyramid for any input size.

timm shifts before it pads, and torchvision doesn't shift maps that are smaller than a window. So neither reproduces the
features that the published checkpoints were trained with, unless the map's size is a multiple of the window.

Shapes: B batch, H W map, C channels, W windows, K positions of a window, N heads.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.networks.encoders.base import Encoder
from voskit.networks.layers.mlp import Mlp
from voskit.networks.layers.norms import DropPath


class WindowAttention(nn.Module):
    """Self-attention inside windows, with a learned bias for each relative position."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        dy, dx = (v.flatten()[:, None] - v.flatten() + window - 1 for v in (y, x))
        self.register_buffer("relative_position_index", dy * (2 * window - 1) + dx)

    def forward(self, x_BKC: Tensor, mask_WKK: Tensor | None) -> Tensor:
        """Attend in all windows, which are on the batch axis; ``mask_WKK`` is added to the scores of each image."""
        batch, length, dim = x_BKC.shape
        q, k, v = self.qkv(x_BKC).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)[None]
        if mask_WKK is not None:
            bias = bias + mask_WKK[:, None].to(bias)
            bias = bias.repeat(batch // len(mask_WKK), 1, 1, 1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return self.proj(out.transpose(1, 2).reshape(batch, length, dim))


class SwinBlock(nn.Module):
    """Window attention and an MLP; in every other block, windows are shifted by half their size."""

    def __init__(self, dim: int, heads: int, window: int, shift: int, drop_path: float) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x_BHWC: Tensor, mask_WKK: Tensor) -> Tensor:
        batch, height, width, dim = x_BHWC.shape
        window, shift = self.window, self.shift
        x = F.pad(self.norm1(x_BHWC), (0, 0, 0, -width % window, 0, -height % window))
        if shift:
            x = x.roll((-shift, -shift), (1, 2))
        rows, columns = x.shape[1] // window, x.shape[2] // window
        x = x.view(batch, rows, window, columns, window, dim).transpose(2, 3).reshape(-1, window * window, dim)
        x = self.attn(x, mask_WKK if shift else None)
        x = x.view(batch, rows, columns, window, window, dim).transpose(2, 3).reshape(batch, rows * window, -1, dim)
        if shift:
            x = x.roll((shift, shift), (1, 2))
        x = x_BHWC + self.drop_path(x[:, :height, :width])
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchMerging(nn.Module):
    """Downsampling by 2: concatenation of 2 x 2 neighbors, norm, projection."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        x = F.pad(x_BHWC, (0, 0, 0, x_BHWC.shape[2] % 2, 0, x_BHWC.shape[1] % 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.reduction(self.norm(x))


class SwinStage(nn.Module):
    """Blocks at one resolution, and the downsampling to the next one."""

    def __init__(self, dim: int, heads: int, window: int, drop_path: list[float], downsample: bool) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(
            SwinBlock(dim, heads, window, window // 2 if i % 2 else 0, rate) for i, rate in enumerate(drop_path)
        )
        self.downsample = PatchMerging(dim) if downsample else None

    def forward(self, x_BHWC: Tensor) -> Tensor:
        mask = _shift_mask(x_BHWC, self.window)
        for block in self.blocks:
            x_BHWC = block(x_BHWC, mask)
        return x_BHWC


def _shift_mask(x_BHWC: Tensor, window: int) -> Tensor:
    """Mask the scores between parts of a shifted window that aren't adjacent in the image: -100, else 0 [W, K, K]."""
    sizes = [-(-n // window) * window for n in x_BHWC.shape[1:3]]
    bands = []
    for size in sizes:
        band = torch.zeros(size, device=x_BHWC.device)
        band[-window:] = 1
        band[-(window // 2) :] = 2
        bands.append(band)
    region = bands[0][:, None] * 3 + bands[1]
    rows, columns = (n // window for n in sizes)
    region = region.view(rows, window, columns, window).transpose(1, 2).reshape(-1, window * window)
    return (region[:, None] != region[:, :, None]).to(x_BHWC.dtype) * -100.0


def drop_path_rates(depths: Sequence[int], largest: float) -> list[list[float]]:
    """Return the rates of the blocks of each stage, rising linearly from 0 at the first block to ``largest``."""
    rates = iter([largest * i / (sum(depths) - 1) for i in range(sum(depths))])
    return [list(itertools.islice(rates, depth)) for depth in depths]


class Swin(Encoder):
    """Swin Transformer with a LayerNorm for each output map.

    Four stages give maps at strides 4, 8, 16 and 32. With three stages, the last two maps are one tensor at stride 16.

    Args:
        dim: width of the first stage.
        depths: number of blocks of each stage, three or four numbers.
        heads: attention heads of each stage.
        window: side of the windows.
        drop_path: rate of the last block, rising linearly from 0 at the first.
    """

    pretrained_absent = ("norm0.", "norm1.", "norm2.", "norm3.")

    def __init__(
        self, dim: int, depths: Sequence[int], heads: Sequence[int], window: int = 7, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        count = len(depths)
        widths = [dim * 2**i for i in range(count)]
        self.channels = (widths[0], widths[1], widths[2], widths[-1])
        self.pretrained_unused = ("head.", "norm.") if count == 4 else ("head.", "layers.3.", "layers.2.down", "norm.")
        self.patch_embed = PatchEmbed(dim)
        rates = drop_path_rates(depths, drop_path)
        self.layers = nn.ModuleList(
            SwinStage(widths[i], heads[i], window, rates[i], i < count - 1) for i in range(count)
        )
        for i, width in enumerate(widths):
            self.add_module(f"norm{i}", nn.LayerNorm(width))

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        x = self.patch_embed(image_B3HW)
        maps: list[Tensor] = []
        for i, stage in enumerate(self.layers):
            x = stage(x)
            maps.append(self.get_submodule(f"norm{i}")(x).permute(0, 3, 1, 2))
            if i < len(self.layers) - 1:
                x = stage.get_submodule("downsample")(x)
        return maps if len(maps) == 4 else [*maps, maps[-1]]

    def stages(self) -> list[list[nn.Module]]:
        first, *later = self.layers
        return [[self.patch_embed], [first.get_submodule("blocks")], *([stage] for stage in later)]

    @staticmethod
    def convert_pretrained(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Remove the attention masks for fixed image sizes; names are the published ones."""
        return {k: v for k, v in state.items() if not k.endswith("attn_mask")}


class PatchEmbed(nn.Module):
    """Embedding of 4 x 4 patches, padded to multiples of 4, and a LayerNorm -> [B, H / 4, W / 4, C]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 4, 4)
        self.norm = nn.LayerNorm(dim)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        x = F.pad(image_B3HW, (0, -image_B3HW.shape[3] % 4, 0, -image_B3HW.shape[2] % 4))
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


SWIN_SIZES = {
    "tiny": (96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "small": (96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "base": (128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "large": (192, (2, 2, 18, 2), (6, 12, 24, 48)),
}
"""Width of the first stage, and blocks and heads of the stages, by size."""


def build_swin(size: str, stages: int = 3, drop_path: float = 0.0) -> Swin:
    """Build a Swin with windows of 7: its first three stages (stride 16) or all four (stride 32)."""
    dim, depths, heads = SWIN_SIZES[size]
    return Swin(dim, depths[:stages], heads[:stages], drop_path=drop_path)
