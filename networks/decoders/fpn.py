"""FPN decoder of AOT, DeAOT and AOST. Names of tensors are those of the published checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.networks.layers.maps import one_by_one, runs_eagerly_on_cpu
from voskit.networks.ops.enlarged_convolution import convolve_enlarged


class ConvNorm(nn.Module):
    """Convolution and group norm."""

    def __init__(self, channels: int, out: int, kernel: int, groups: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2)
        self.gn = nn.GroupNorm(groups, out)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.gn(self.conv(x_BCHW))


class FPNDecoder(nn.Module):
    """Decoder from the transformer's output at stride 16 and the encoder's maps to logits at stride 4.

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
        groups = one_by_one(x_BCHW) if len(x4) == 1 else [x_BCHW]
        adapted = self.adapter_16x(x16)
        apart = self._convolves_apart(len(groups), shortcuts)
        steps = ((self.adapter_8x, self.conv_8x, x8), (self.adapter_4x, self.conv_4x, x4))
        finer = [_convolve_adapted(adapter, block.conv, x) if apart else adapter(x) for adapter, block, x in steps]
        logits = [self._decode(x, adapted, finer, apart) for x in groups]
        return logits[0] if len(logits) == 1 else torch.cat(logits)

    def _convolves_apart(self, groups: int, shortcuts: Sequence[Tensor]) -> bool:
        """Return True if it is faster to convolve the encoder's maps and the upsampled ones separately.

        The former are then convolved once for all groups, or at little cost if they have few channels.
        """
        x4 = shortcuts[0]
        single = len(x4) == 1 and x4.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        if not (self.align_corners and single and runs_eagerly_on_cpu(x4)):
            return False
        if groups == 1 and not (_is_narrow(self.adapter_4x) and _is_narrow(self.adapter_8x)):
            return False
        sizes = pairwise([x.shape[2:] for x in shortcuts[:3]])
        return all(fine == 2 * coarse - 1 for pair in sizes for fine, coarse in zip(*pair, strict=True))

    def _decode(self, x_BCHW: Tensor, x16: Tensor, finer: Sequence[Tensor], apart: bool) -> Tensor:
        """Decode one or more groups with adapted maps of the encoder."""
        x = F.relu_(self._enter(x_BCHW))
        x = F.relu_(self.conv_16x(x16 + x))
        for block, fine in zip((self.conv_8x, self.conv_4x), finer, strict=True):
            if apart:
                x = F.relu_(block.gn(convolve_enlarged(x, block.conv.weight, fine)))
            else:
                x = F.relu_(block(fine + self._resize(x, fine)))
        return self.conv_out(x)

    def _enter(self, x_BCHW: Tensor) -> Tensor:
        return self.conv_in(x_BCHW)

    def _resize(self, x_BCHW: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x_BCHW, like.shape[-2:], mode="bilinear", align_corners=self.align_corners)


def _is_narrow(adapter: nn.Conv2d) -> bool:
    """Return True if the encoder's map has so few channels that convolving it is cheap."""
    return 2 * adapter.in_channels < adapter.out_channels


def _convolve_adapted(adapter: nn.Conv2d, conv: nn.Conv2d, x_1CHW: Tensor) -> Tensor:
    """Adapt a map of the encoder and convolve it, in one convolution if it is narrow."""
    if not _is_narrow(adapter):
        return conv(adapter(x_1CHW))
    assert adapter.bias is not None
    # padding follows the adapter and has no bias, so that the bias is the weight of a channel of ones
    columns = torch.cat([adapter.weight.flatten(1), adapter.bias[:, None]], 1)
    weight = torch.einsum("oakl,ac->ockl", conv.weight, columns)
    return F.conv2d(F.pad(x_1CHW, (0, 0, 0, 0, 0, 1), value=1.0), weight, conv.bias, padding=1)


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
