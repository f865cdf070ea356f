"""MobileNet-V3-Large at output stride 16 (Howard et al., ICCV 2019).

torchvision's blocks can't be used: they have the squeeze-excitation after the second activation, made of convolutions.
The published AOT checkpoints have it before the activation, made of linear layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

from voskit.networks.encoders.base import Encoder, rename

# blocks 1 to 15: kernel, expanded channels, output channels, squeeze-excitation, stride, dilation
BLOCKS = (
    (3, 16, 16, False, 1, 1),
    (3, 64, 24, False, 2, 1),
    (3, 72, 24, False, 1, 1),
    (5, 72, 40, True, 2, 1),
    (5, 120, 40, True, 1, 1),
    (5, 120, 40, True, 1, 1),
    (3, 240, 80, False, 2, 1),
    (3, 200, 80, False, 1, 1),
    (3, 184, 80, False, 1, 1),
    (3, 184, 80, False, 1, 1),
    (3, 480, 112, True, 1, 1),
    (3, 672, 112, True, 1, 1),
    (5, 672, 160, True, 1, 1),
    (5, 960, 160, True, 1, 2),
    (5, 960, 160, True, 1, 2),
)
FIRST_HARD_SWISH = 7


class SqueezeExcitation(nn.Module):
    """Squeeze-excitation: channels scaled by a function of their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = math.ceil(channels / 32) * 8  # a quarter, in multiples of 8
        self.fc = nn.Sequential(
            nn.Linear(channels, squeezed), nn.ReLU(inplace=True), nn.Linear(squeezed, channels), nn.Hardsigmoid()
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW * self.fc(x_BCHW.mean((2, 3)))[:, :, None, None]


class InvertedResidual(nn.Module):
    """Inverted residual block: expansion, depthwise convolution, optional squeeze-excitation, projection."""

    def __init__(
        self,
        channels: int,
        kernel: int,
        expanded: int,
        out: int,
        excite: bool,
        stride: int,
        dilation: int,
        activation: type[nn.Module],
        norm: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and channels == out
        padding = (kernel - 1) // 2 * dilation
        expand: list[nn.Module] = []
        if expanded != channels:
            expand = [nn.Conv2d(channels, expanded, 1, bias=False), norm(expanded), activation(inplace=True)]
        depthwise = nn.Conv2d(expanded, expanded, kernel, stride, padding, dilation, expanded, bias=False)
        gate = SqueezeExcitation(expanded) if excite else nn.Identity()
        # without expansion the published blocks activate before the (absent) squeeze-excitation
        middle = [gate, activation(inplace=True)] if expand else [activation(inplace=True), gate]
        self.conv = nn.Sequential(
            *expand, depthwise, norm(expanded), *middle, nn.Conv2d(expanded, out, 1, bias=False), norm(out)
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + self.conv(x_BCHW) if self.residual else self.conv(x_BCHW)


class MobileNetV3(Encoder):
    """MobileNet-V3-Large without its classifier."""

    mobile = True
    channels = (24, 40, 112, 960)

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), norm(16), nn.Hardswish(inplace=True))
        blocks: list[nn.Module] = [stem]
        width = 16
        for i, (kernel, expanded, out, excite, stride, dilation) in enumerate(BLOCKS, 1):
            activation = nn.Hardswish if i >= FIRST_HARD_SWISH else nn.ReLU
            blocks.append(InvertedResidual(width, kernel, expanded, out, excite, stride, dilation, activation, norm))
            width = out
        self.features = nn.Sequential(*blocks)
        self.conv = nn.Sequential(nn.Conv2d(width, 960, 1, bias=False), norm(960), nn.Hardswish(inplace=True))

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        maps = []
        x = image_B3HW
        for start, end in ((0, 4), (4, 7), (7, 13)):
            x = self.features[start:end](x)
            maps.append(x)
        return [*maps, self.conv(self.features[13:](x))]

    def stages(self) -> list[list[nn.Module]]:
        return [list(self.features[0:2]), list(self.features[2:4]), list(self.features[4:7]), list(self.features[7:13])]

    @staticmethod
    def convert_pretrained(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename torchvision's ``features.N.block.M.*`` to ``features.N.conv.K.*``."""
        rules = [(r"^features\.16\.", "conv.")]
        for i, (_, _, _, excite, *_) in enumerate(BLOCKS, 1):
            block = rf"^features\.{i}\.block\."
            expands = i > 1
            excitation = 1 + expands
            project = excitation + excite
            layers = {0: 0, 1: 3, project: 7} if expands else {0: 0, project: 4}
            if excite:
                rules += [
                    (rf"{block}{excitation}\.fc1\.", f"features.{i}.conv.5.fc.0."),
                    (rf"{block}{excitation}\.fc2\.", f"features.{i}.conv.5.fc.2."),
                ]
            for theirs, ours in layers.items():
                rules += [
                    (rf"{block}{theirs}\.0\.", f"features.{i}.conv.{ours}."),
                    (rf"{block}{theirs}\.1\.", f"features.{i}.conv.{ours + 1}."),
                ]
        renamed = rename(state, rules)
        return {k: v.flatten(1) if ".fc." in k and v.ndim == 4 else v for k, v in renamed.items()}
