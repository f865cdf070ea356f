"""Decoder of XMem: memory readout at stride 16 to logits at stride 4, with an update of the sensory memory.

Names of tensors are those of the published checkpoints. Shapes: K objects on the batch axis, H W the input size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.networks.layers.fusion import FeatureFusion, GatedUpdate, ResidualBlock
from voskit.networks.layers.maps import expand_to_objects, one_by_one


class UpBlock(nn.Module):
    """Upsampling by 2, with the encoder's map of that size added."""

    def __init__(self, skip: int, channels: int, out_channels: int) -> None:
        super().__init__()
        self.skip_conv = nn.Conv2d(skip, channels, 3, padding=1)
        self.out_conv = ResidualBlock(channels, out_channels)

    def forward(self, skip_BCHW: Tensor, x_KCHW: Tensor) -> Tensor:
        """Upsample, with the output of ``skip_conv``, which runs once per image and not once per object."""
        up = F.interpolate(x_KCHW, scale_factor=2, mode="bilinear", align_corners=False)
        return self.out_conv(expand_to_objects(skip_BCHW, up.shape[0]) + up)


class _HiddenUpdate(GatedUpdate):
    """Update of the sensory memory by the decoder's maps of three scales."""

    def __init__(self, channels: tuple[int, int, int], width: int, hidden: int) -> None:
        super().__init__(width, hidden)
        self.g16_conv, self.g8_conv, self.g4_conv = (nn.Conv2d(c, width, 1) for c in channels)

    def forward_maps(self, g16: Tensor, g8: Tensor, g4: Tensor, hidden_KCHW: Tensor) -> Tensor:
        x = self.g16_conv(g16) + self.g8_conv(F.interpolate(g8, scale_factor=1 / 2, mode="area"))
        x = x + self.g4_conv(F.interpolate(g4, scale_factor=1 / 4, mode="area"))
        return self(x, hidden_KCHW)


class RecurrentDecoder(nn.Module):
    """Decoder of XMem (section 3.4).

    Args:
        maps: widths of the encoder's maps at strides 4, 8 and 16.
        value_dim: channels of the readout.
        hidden_dim: channels of the sensory memory; 0: there is none.
    """

    def __init__(self, maps: tuple[int, int, int], value_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fuser = FeatureFusion(maps[2] + value_dim + hidden_dim, 512)
        self.hidden_update = _HiddenUpdate((512, 256, 256 + 1), 256, hidden_dim) if hidden_dim else None
        self.up_16_8 = UpBlock(maps[1], 512, 256)
        self.up_8_4 = UpBlock(maps[0], 256, 256)
        self.pred = nn.Conv2d(256, 1, 3, padding=1)

    def forward(
        self, maps: list[Tensor], readout_KCHW: Tensor, hidden_KCHW: Tensor | None, update: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Decode.

        Args:
            maps: the encoder's maps at strides 4, 8 and 16, [B, C_i, H / i, W / i]; B is 1, or several images that all
                have the same number of objects.
            readout_KCHW: memory readout at stride 16.
            hidden_KCHW: sensory memory at stride 16; None: the network has none.
            update: update the sensory memory.

        Returns:
            logits [K, H, W] of each object and the sensory memory.
        """
        f4, f8, f16 = maps
        skips = (self.up_8_4.skip_conv(f4), self.up_16_8.skip_conv(f8), f16)
        objects = one_by_one(readout_KCHW) if len(f16) == 1 else [readout_KCHW]
        if hidden_KCHW is None or len(objects) == 1:
            hiddens: Sequence[Tensor | None] = [hidden_KCHW] * len(objects)
        else:
            hiddens = hidden_KCHW.split(1)
        decoded = [self._decode(*skips, *own, update) for own in zip(objects, hiddens, strict=True)]
        if update:
            updated = [hidden for _, hidden in decoded if hidden is not None]
            hidden_KCHW = torch.cat(updated) if updated else None
        return torch.cat([logits for logits, _ in decoded])[:, 0], hidden_KCHW

    def _decode(
        self, f4: Tensor, f8: Tensor, f16: Tensor, readout_KCHW: Tensor, hidden_KCHW: Tensor | None, update: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Decode some objects; ``f4`` and ``f8`` went through the skip convolutions. Logits are [K, 1, H, W]."""
        own = (readout_KCHW,) if hidden_KCHW is None else (readout_KCHW, hidden_KCHW)
        g16 = self.fuser(f16, *own)
        g8 = self.up_16_8(f8, g16)
        g4 = self.up_8_4(f4, g8)
        logits = self.pred(F.relu(g4))
        if update and hidden_KCHW is not None and self.hidden_update is not None:
            hidden_KCHW = self.hidden_update.forward_maps(g16, g8, torch.cat([g4, logits], 1), hidden_KCHW)
        return F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False), hidden_KCHW
