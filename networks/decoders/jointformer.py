"""Decoder of JointFormer: features at stride 16 to logits at stride 4, and a fusion feature for the tokens.

Names of tensors are those of the published checkpoints. Shapes: K objects on the batch axis, H W the input size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.networks.decoders.xmem import UpBlock
from voskit.networks.layers.fusion import FeatureFusion
from voskit.networks.layers.maps import one_by_one


class _FuseAll(nn.Module):
    """Concatenation of the decoder's maps of three scales at stride 16, [K, 3 * width, H / 16, W / 16]."""

    def __init__(self, channels: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.g16_conv, self.g8_conv, self.g4_conv = (nn.Conv2d(c, width, 1) for c in channels)

    def forward(self, g16: Tensor, g8: Tensor, g4: Tensor) -> Tensor:
        g8 = F.interpolate(g8, scale_factor=1 / 2, mode="area")
        g4 = F.interpolate(g4, scale_factor=1 / 4, mode="area")
        return torch.cat([self.g16_conv(g16), self.g8_conv(g8), self.g4_conv(g4)], 1)


class FusingDecoder(nn.Module):
    """Decoder of JointFormer (section 3.5).

    Args:
        maps: widths of the encoder's maps at strides 4, 8 and 16.
    """

    def __init__(self, maps: tuple[int, int, int]) -> None:
        super().__init__()
        self.fuser_16 = FeatureFusion(2 * maps[2], 384)
        self.up_16_8 = UpBlock(maps[1], 384, 256)
        self.up_8_4 = UpBlock(maps[0], 256, 256)
        self.pred = nn.Conv2d(256, 1, 3, padding=1)
        self.fuser_all = _FuseAll((384, 256, 256 + 1), maps[2] // 3)

    def forward(
        self, f4_BCHW: Tensor, f8_BCHW: Tensor, f16_KCHW: Tensor, enhanced_KCHW: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            f4_BCHW, f8_BCHW: maps at strides 4 and 8; B is 1, or several images that all have the same number of
                objects.
            f16_KCHW: features of each object at stride 16.
            enhanced_KCHW: these features, enhanced by the object's token.

        Returns:
            logits [K, H, W] of each object and the fusion feature [K, C, H / 16, W / 16], with C of ``f16_KCHW``.
        """
        skips = (self.up_8_4.skip_conv(f4_BCHW), self.up_16_8.skip_conv(f8_BCHW))
        objects = one_by_one(enhanced_KCHW) if len(f4_BCHW) == 1 else [enhanced_KCHW]
        own = zip(f16_KCHW.split(len(objects[0])), objects, strict=True)
        logits, fusions = zip(*(self._decode(*skips, f16, enhanced) for f16, enhanced in own), strict=True)
        return torch.cat(logits)[:, 0], torch.cat(fusions)

    def _decode(self, f4: Tensor, f8: Tensor, f16_KCHW: Tensor, enhanced_KCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Decode some objects; ``f4`` and ``f8`` went through the skip convolutions. Logits are [K, 1, H, W]."""
        g16 = self.fuser_16(f16_KCHW, enhanced_KCHW)
        g8 = self.up_16_8(f8, g16)
        g4 = self.up_8_4(f4, g8)
        logits = self.pred(F.relu(g4))
        fusion = self.fuser_all(g16, g8, torch.cat([g4, logits], 1))
        return F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False), fusion
