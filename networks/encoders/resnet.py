"""ResNet (He et al., CVPR 2016) from torchvision and ResNeSt (Zhang et al., 2020) from timm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torchvision
from torch import Tensor, nn

from voskit.networks.encoders.base import Encoder


class ResNet(Encoder):
    """Stem and layers 1 to 3 of a torchvision or timm ResNet; the last two maps are one tensor.

    Args:
        build: builds the whole network from a keyword ``norm_layer``.
        norm: builds the batch norm of a width.
    """

    channels = (256, 512, 1024, 1024)
    to_stride_32 = False

    def __init__(self, build: Callable[..., nn.Module], norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        whole: Any = build(norm_layer=lambda width, **_: norm(width))  # timm passes a device, too
        self.conv1: nn.Module = whole.conv1
        self.bn1: nn.Module = whole.bn1
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1: nn.Module = whole.layer1
        self.layer2: nn.Module = whole.layer2
        self.layer3: nn.Module = whole.layer3
        if self.to_stride_32:
            self.layer4: nn.Module = whole.layer4

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


def build_resnet(name: str, norm: Callable[[int], nn.Module], *, to_stride_32: bool = False) -> ResNet:
    """Build a ResNet of torchvision, or a ResNeSt of timm, with random weights.

    Args:
        name: ``resnet50``, ``resnet101``, ``resnest50`` or ``resnest101``.
        norm: builds the batch norm of a width.
        to_stride_32: keep layer 4.
    """
    build: Callable[..., nn.Module]
    if name.startswith("resnest"):
        import timm

        model = {"resnest50": "resnest50d", "resnest101": "resnest101e"}[name]
        build = partial(timm.create_model, model, pretrained=False)
    else:
        build = partial(torchvision.models.get_model, name, weights=None)
    return (WholeResNet if to_stride_32 else ResNet)(build, norm)
