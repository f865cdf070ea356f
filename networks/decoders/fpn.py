"""FPN decoder of AOT, DeAOT and AOST. Names of tensors are those of the published checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.networks.layers.maps import one_by_one


class ConvNorm(nn.Module):
    """Convolution and group norm."""

    def __init__(self, channels: int, out: int, kernel: int, groups: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2)
        self.gn = nn.GroupNorm(groups, out)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.gn(self.conv(x_BCHW))


class FPNDecoder(nn.Module):
    """Decoder of the transformer's output at stride 16 and the encoder's maps to logits at stride 4.

    Args:
        channels: width of the input.
        out: number of logits.
        shortcuts: widths of the encoder's maps at strides 4, 8 and 16.
        hidden: width at stride 16; strides 8 and 4 have half of it.
        align_corners: convention of the upsampling.
    """

    def __init__(
        self, channels: int, out: int, shortcuts: Sequence[int], hidden: int = 256, align_corners: bool = True
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.conv_in: nn.Module = ConvNorm(channels, hidden, 1)
        self.conv_16x = ConvNorm(hidden, hidden, 3)
        self.conv_8x = ConvNorm(hidden, hidden // 2, 3)
        self.conv_4x = ConvNorm(hidden // 2, hidden // 2, 3)
        self.adapter_16x = nn.Conv2d(shortcuts[2], hidden, 1)
        self.adapter_8x = nn.Conv2d(shortcuts[1], hidden, 1)
        self.adapter_4x = nn.Conv2d(shortcuts[0], hidden // 2, 1)
        self.conv_out = nn.Conv2d(hidden // 2, out, 1)

    def forward(self, x_BCHW: Tensor, shortcuts: Sequence[Tensor]) -> Tensor:
        """Decode logits; ``shortcuts`` are the encoder's maps at strides 4, 8, 16, with batch B or 1 (shared)."""
        x4, x8, x16 = shortcuts[:3]
        adapted = self.adapter_16x(x16), self.adapter_8x(x8), self.adapter_4x(x4)
        logits = [self._decode(x, *adapted) for x in (one_by_one(x_BCHW) if len(x4) == 1 else [x_BCHW])]
        return logits[0] if len(logits) == 1 else torch.cat(logits)

    def _decode(self, x_BCHW: Tensor, x16: Tensor, x8: Tensor, x4: Tensor) -> Tensor:
        """Decode with adapted maps of the encoder."""
        x = F.relu(self._enter(x_BCHW))
        x = F.relu(self.conv_16x(x16 + x))
        x = F.relu(self.conv_8x(x8 + self._resize(x, x8)))
        x = F.relu(self.conv_4x(x4 + self._resize(x, x4)))
        return self.conv_out(x)

    def _enter(self, x_BCHW: Tensor) -> Tensor:
        return self.conv_in(x_BCHW)

    def _resize(self, x_BCHW: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x_BCHW, like.shape[-2:], mode="bilinear", align_corners=self.align_corners)


class ScalableFPNDecoder(FPNDecoder):
    """FPN decoder of AOST, with an input convolution for each depth; all other layers are shared.

    The input at depth k is the projected feature and the outputs of k layers, ``(k + 1) * hidden`` channels. Its width
    selects the convolution.
    """

    def __init__(
        self, depth: int, out: int, shortcuts: Sequence[int], hidden: int = 256, align_corners: bool = True
    ) -> None:
        super().__init__((depth + 1) * hidden, out, shortcuts, hidden, align_corners)
        self.hidden = hidden
        self.conv_in = nn.ModuleList(ConvNorm((k + 1) * hidden, hidden, 1) for k in range(1, depth + 1))

    def _enter(self, x_BCHW: Tensor) -> Tensor:
        depth = x_BCHW.shape[1] // self.hidden - 1
        return self.get_submodule(f"conv_in.{depth - 1}")(x_BCHW)
