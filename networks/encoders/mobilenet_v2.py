"""MobileNet-V2 at output stride 16 (Sandler et al., CVPR 2018), from torchvision."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from voskit.networks.encoders.base import Encoder


class MobileNetV2(Encoder):
    """torchvision's ``features``; the last stage keeps stride 16, with blocks 15 to 17 dilated by 2 instead."""

    mobile = True
    channels = (24, 32, 96, 1280)

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.features = mobilenet_v2(norm_layer=norm).features
        for block in self.features[14:18]:
            for conv in block.modules():
                if isinstance(conv, nn.Conv2d) and conv.groups > 1:
                    conv.stride = (1, 1)
                    if block is not self.features[14]:
                        conv.dilation = conv.padding = (2, 2)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        maps = []
        x = image_B3HW
        for start, end in ((0, 4), (4, 7), (7, 14), (14, 19)):
            x = self.features[start:end](x)
            maps.append(x)
        return maps

    def stages(self) -> list[list[nn.Module]]:
        return [list(self.features[0:2]), list(self.features[2:4]), list(self.features[4:7]), list(self.features[7:14])]
