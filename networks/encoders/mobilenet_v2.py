"""MobileNet-V2 at output stride 16 (Sandler et al., CVPR 2018), with torchvision's names of tensors.

torchvision itself is not imported: it loads PyTorch's compiler, which doubles the time to the first frame.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from voskit.networks.encoders.base import Encoder, without_bfloat16

Norm = Callable[[int], nn.Module]
# blocks 1 to 17: expansion, output channels, stride, dilation
BLOCKS = (
    (1, 16, 1, 1),
    *((6, 24, stride, 1) for stride in (2, 1)),
    *((6, 32, stride, 1) for stride in (2, 1, 1)),
    *((6, 64, stride, 1) for stride in (2, 1, 1, 1)),
    *((6, 96, 1, 1) for _ in range(3)),
    *((6, 160, 1, dilation) for dilation in (1, 2, 2)),  # stride 2 and no dilation, as published
    (6, 320, 1, 2),
)
_STEM = 2  # blocks


def convolution(
    channels: int, out: int, norm: Norm, *, kernel: int = 1, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """Build a convolution with norm and ReLU6."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(channels, out, kernel, stride, padding, dilation, groups, bias=False)
    return nn.Sequential(conv, norm(out), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Inverted residual block: expansion, depthwise convolution, projection."""

    def __init__(
        self, channels: int, expansion: int, out: int, stride: int, dilation: int, norm: Norm, kernel: int = 3
    ) -> None:
        super().__init__()
        wide = channels * expansion
        self.conv = nn.Sequential(
            *([convolution(channels, wide, norm)] if expansion > 1 else []),
            convolution(wide, wide, norm, kernel=kernel, stride=stride, dilation=dilation, groups=wide),
            nn.Conv2d(wide, out, 1, bias=False),
            norm(out),
        )
        self.residual = stride == 1 and channels == out

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + self.conv(x_BCHW) if self.residual else self.conv(x_BCHW)


class MobileNetV2(Encoder):
    """The published network, except that its last stages keep stride 16, with dilation 2 in blocks 15 to 17.

    The stem stays in float32 if the network runs in bfloat16, whose precision is lower than that of 8-bit pixels:
    DeAOT-Tiny loses 1.2 points of J with the stem in bfloat16, and nothing with the rest in bfloat16.
    """

    mobile = True
    channels = (24, 32, 96, 1280)

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        channels = 32
        blocks: list[nn.Module] = [convolution(3, channels, norm, kernel=3, stride=2)]
        for expansion, out, stride, dilation in BLOCKS:
            blocks.append(InvertedResidual(channels, expansion, out, stride, dilation, norm))
            channels = out
        blocks.append(convolution(channels, self.channels[-1], norm))
        self.features = nn.Sequential(*blocks)
        for block in self.features[:_STEM]:
            block.keeps_float32 = True  # type: ignore[assignment]  # see networks.inference.folded
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        maps = []
        with without_bfloat16(image_B3HW.device):
            x = self.features[:_STEM](image_B3HW)
        for start, end in ((_STEM, 4), (4, 7), (7, 14), (14, 19)):
            x = self.features[start:end](x)
            maps.append(x)
        return maps

    def stages(self) -> list[list[nn.Module]]:
        return [
            list(self.features[:_STEM]),
            list(self.features[_STEM:4]),
            list(self.features[4:7]),
            list(self.features[7:14]),
        ]
