"""Swin Transformer (Liu et al., ICCV 2021) as a feature pyramid for any input size.

Own code: timm shifts before it pads, and torchvision doesn't shift in maps smaller than a window; both give other
features than the published checkpoints were trained with, wherever a map is not a multiple of the window.

Shapes: B batch, H W map, C channels, K positions of a window, N heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from networks.encoders.base import Encoder
from networks.layers.mlp import Mlp


class WindowAttention(nn.Module):
    """Self-attention inside of windows with a learned bias for each relative position."""

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
        """``x_BKC`` has all windows on the batch axis; ``mask_WKK`` is added to the scores of an image's W windows."""
        batch, length, dim = x_BKC.shape
        q, k, v = self.qkv(x_BKC).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)[None]
        if mask_WKK is not None:
            bias = bias + mask_WKK[:, None].to(bias)
            bias = bias.repeat(batch // len(mask_WKK), 1, 1, 1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return self.proj(out.transpose(1, 2).reshape(batch, length, dim))


class SwinBlock(nn.Module):
    """Window attention, every other block with windows shifted by half, then an MLP."""

    def __init__(self, dim: int, heads: int, window: int, shift: int, drop_path: float) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = StochasticDepth(drop_path, "row")

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
    """Halve the resolution: concatenate 2 x 2 neighbours, norm, project."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        x = F.pad(x_BHWC, (0, 0, 0, x_BHWC.shape[2] % 2, 0, x_BHWC.shape[1] % 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.reduction(self.norm(x))


class SwinStage(nn.Module):
    """Blocks at one resolution, and the way down to the next."""

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
    """Scores between parts of a shifted window that are no neighbours in the image: -100, else 0 -> [W, K, K]."""
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


class Swin(Encoder):
    """The first three stages, each with a LayerNorm of its own on the way out; the last map is given twice.

    Args:
        dim: width of the first stage.
        depths: blocks of the three stages that are built.
        heads: attention heads of these stages.
        drop_path: rate of the last block, rising linearly from 0 at the first.
    """

    pretrained_unused = ("head.", "layers.3.", "layers.2.downsample.", "norm.")
    pretrained_absent = ("norm0.", "norm1.", "norm2.")

    def __init__(
        self,
        dim: int,
        depths: tuple[int, int, int],
        heads: tuple[int, int, int],
        window: int = 7,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [dim * 2**i for i in range(3)]
        self.channels = (widths[0], widths[1], widths[2], widths[2])
        self.patch_embed = PatchEmbed(dim)
        rates = [drop_path * i / (sum(depths) - 1) for i in range(sum(depths))]
        starts = [sum(depths[:i]) for i in range(3)]
        self.layers = nn.ModuleList(
            SwinStage(widths[i], heads[i], window, rates[starts[i] : starts[i] + depths[i]], i < 2) for i in range(3)
        )
        self.norm0, self.norm1, self.norm2 = (nn.LayerNorm(w) for w in widths)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        x = self.patch_embed(image_B3HW)
        maps: list[Tensor] = []
        for i, stage in enumerate(self.layers):
            norm = getattr(self, f"norm{i}")
            x = stage(x)
            maps.append(norm(x).permute(0, 3, 1, 2))
            if i < len(self.layers) - 1:
                x = stage.get_submodule("downsample")(x)
        return [*maps, maps[-1]]

    def stages(self) -> list[list[nn.Module]]:
        first, second, third = self.layers
        return [[self.patch_embed], [first.get_submodule("blocks")], [second], [third]]

    @staticmethod
    def convert_pretrained(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The names are the same; masks for fixed image sizes are left out."""
        return {k: v for k, v in state.items() if not k.endswith("attn_mask")}


class PatchEmbed(nn.Module):
    """Non-overlapping 4 x 4 patches, padded to multiples of 4, and a LayerNorm -> [B, H / 4, W / 4, C]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 4, 4)
        self.norm = nn.LayerNorm(dim)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        x = F.pad(image_B3HW, (0, -image_B3HW.shape[3] % 4, 0, -image_B3HW.shape[2] % 4))
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


def swin_base(drop_path: float = 0.0) -> Swin:
    """Swin-Base with 224-pixel windows of 7."""
    return Swin(128, (2, 2, 18), (4, 8, 16), drop_path=drop_path)
