"""MobileNet-V2 at output stride 16 (Sandler et al., CVPR 2018), from torchvision."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from voskit.networks.encoders.base import Encoder, without_bfloat16

_STEM = 2  # blocks


class MobileNetV2(Encoder):
    """torchvision's ``features``; the last stage keeps stride 16, with blocks 15 to 17 dilated by 2 instead.

    The stem stays in float32 if the network runs in bfloat16, whose 8 bits of precision are fewer than those of pixels:
    DeAOT-Tiny's masks lose 1.2 points of J with a stem in bfloat16, and nothing by bfloat16 elsewhere.
    """

    mobile = True
    channels = (24, 32, 96, 1280)

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.features = mobilenet_v2(norm_layer=norm).features
        for block in self.features[:_STEM]:
            block.keeps_float32 = True
        for block in self.features[14:18]:
            for conv in block.modules():
                if isinstance(conv, nn.Conv2d) and conv.groups > 1:
                    conv.stride = (1, 1)
                    if block is not self.features[14]:
                        conv.dilation = conv.padding = (2, 2)

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
