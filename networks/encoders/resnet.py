"""ResNet (He et al., CVPR 2016) with torchvision's names of tensors, and ResNeSt (Zhang et al., 2020) from timm.

torchvision itself is not imported: it loads PyTorch's compiler, which doubles the time to the first frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from voskit.networks.encoders.base import Encoder

Norm = Callable[[int], nn.Module]
PARTS = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
"""Parts of a ResNet that are used; pooling and classification are not."""


class BasicBlock(nn.Module):
    """Residual block of two 3 x 3 convolutions."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = norm(width)
        self.downsample = _shortcut(channels, width, stride, norm)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x_BCHW)))
        return _sum(self.bn2(self.conv2(y)), x_BCHW, self.downsample)


class Bottleneck(nn.Module):
    """Residual block of pointwise, 3 x 3 and pointwise convolutions; the second has the stride, as in torchvision."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int, norm: Norm) -> None:
        super().__init__()
        out = width * self.expansion
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = norm(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels, out, stride, norm)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x_BCHW)))
        y = self.relu(self.bn2(self.conv2(y)))
        return _sum(self.bn3(self.conv3(y)), x_BCHW, self.downsample)


def _shortcut(channels: int, out: int, stride: int, norm: Norm) -> nn.Module | None:
    if stride == 1 and channels == out:
        return None
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), norm(out))


def _sum(y_BCHW: Tensor, x_BCHW: Tensor, shortcut: nn.Module | None) -> Tensor:
    return (y_BCHW + (x_BCHW if shortcut is None else shortcut(x_BCHW))).relu_()


def residual_parts(
    block: type[BasicBlock | Bottleneck], counts: Sequence[int], norm: Norm, channels: int = 3
) -> dict[str, nn.Module]:
    """Build the parts of a ResNet with random weights.

    Args:
        block: kind of block.
        counts: number of blocks of each layer.
        norm: builds the batch norm of a width.
        channels: channels of the input.
    """
    width = 64
    parts: dict[str, nn.Module] = {"conv1": nn.Conv2d(channels, width, 7, 2, 3, bias=False), "bn1": norm(width)}
    for i, count in enumerate(counts):
        blocks = []
        for j in range(count):
            blocks.append(block(width, 64 * 2**i, 2 if i > 0 and j == 0 else 1, norm))
            width = 64 * 2**i * block.expansion
        parts[f"layer{i + 1}"] = nn.Sequential(*blocks)
    for part in parts.values():
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return parts


class ResNet(Encoder):
    """Stem and layers 1 to 3 of a ResNet; the last two maps are one tensor.

    Args:
        parts: modules by name; ``layer4`` may be missing.
    """

    channels = (256, 512, 1024, 1024)
    to_stride_32 = False

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.conv1 = parts["conv1"]
        self.bn1 = parts["bn1"]
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = parts["layer1"]
        self.layer2 = parts["layer2"]
        self.layer3 = parts["layer3"]
        if self.to_stride_32:
            self.layer4 = parts["layer4"]

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(image_B3HW))))
        x4 = self.layer1(x)
        x8 = self.layer2(x4)
        x16 = self.layer3(x8)
        return [x4, x8, x16, x16]

    def stages(self) -> list[list[nn.Module]]:
        return [[self.conv1, self.bn1], [self.layer1], [self.layer2], [self.layer3]]


class WholeResNet(ResNet):
    """Stem and all four layers: maps at strides 4, 8, 16 and 32."""

    channels = (256, 512, 1024, 2048)
    to_stride_32 = True
    pretrained_unused = ("fc.",)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        x4, x8, x16, _ = super().forward(image_B3HW)
        return [x4, x8, x16, self.layer4(x16)]

    def stages(self) -> list[list[nn.Module]]:
        return [*super().stages(), [self.layer4]]


def build_resnet(name: str, norm: Norm, *, to_stride_32: bool = False) -> ResNet:
    """Build a ResNet, or a ResNeSt of timm, with random weights.

    Args:
        name: ``resnet50``, ``resnet101``, ``resnest50`` or ``resnest101``.
        norm: builds the batch norm of a width.
        to_stride_32: keep layer 4.
    """
    if name.startswith("resnest"):
        import timm

        model = {"resnest50": "resnest50d", "resnest101": "resnest101e"}[name]
        # timm passes a device to the norm, too
        whole: Any = timm.create_model(model, pretrained=False, norm_layer=lambda width, **_: norm(width))
        parts = {part: getattr(whole, part) for part in PARTS}
    else:
        counts = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}[name]
        parts = residual_parts(Bottleneck, counts if to_stride_32 else counts[:3], norm)
    return (WholeResNet if to_stride_32 else ResNet)(parts)
