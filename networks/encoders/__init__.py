"""Registry of image encoders. Each entry builds an encoder and imports its module on demand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from voskit.configs import Registry
from voskit.networks.encoders.base import Encoder
from voskit.networks.layers.norms import FrozenBatchNorm

NormLayer = Callable[[int], nn.Module]
"""Builds a batch norm for a number of channels."""
EncoderBuilder = Callable[[NormLayer, float], Encoder]
"""Builds an encoder from a norm layer and the maximum drop-path rate; it may ignore either."""

ENCODERS: Registry[EncoderBuilder] = Registry("encoder")
"""Encoders whose maps have strides 4, 8, 16 and 16."""
PYRAMIDS: Registry[EncoderBuilder] = Registry("encoder")
"""Encoders whose maps have strides 4, 8, 16 and 32 (ReferFormer)."""


def build_encoder(
    name: str, *, freeze_bn: bool = True, freeze_at: int = 0, drop_path: float = 0.0, to_stride_32: bool = False
) -> Encoder:
    """Build an encoder with random weights.

    Args:
        name: an entry of ``ENCODERS``, or of ``PYRAMIDS`` with ``to_stride_32``.
        freeze_bn: build batch norms with fixed statistics and weights, which are buffers.
        freeze_at: number of frozen stages (1 is the stem).
        drop_path: maximum drop-path rate, for encoders that have it.
        to_stride_32: build the whole encoder, down to stride 32.

    Raises:
        ValueError: unknown name; similar names are suggested.
    """
    builder = (PYRAMIDS if to_stride_32 else ENCODERS).get(name)
    encoder = builder(FrozenBatchNorm if freeze_bn else nn.BatchNorm2d, drop_path)
    encoder.freeze(freeze_at)
    return encoder


@ENCODERS.register("mobilenetv2")
def _mobilenet_v2(norm: NormLayer, _: float) -> Encoder:
    from voskit.networks.encoders.mobilenet_v2 import MobileNetV2

    return MobileNetV2(norm)


@ENCODERS.register("mobilenetv3")
def _mobilenet_v3(norm: NormLayer, _: float) -> Encoder:
    from voskit.networks.encoders.mobilenet_v3 import MobileNetV3

    return MobileNetV3(norm)


@ENCODERS.register("efficientnet_lite0")
def _efficientnet_lite0(norm: NormLayer, _: float) -> Encoder:
    from voskit.networks.encoders.efficientnet_lite import EfficientNetLite0

    return EfficientNetLite0(norm)


def _resnet(name: str, to_stride_32: bool, norm: NormLayer, _: float) -> Encoder:
    from voskit.networks.encoders.resnet import build_resnet

    return build_resnet(name, norm, to_stride_32=to_stride_32)


def _swin(size: str, stages: int, _: NormLayer, drop_path: float) -> Encoder:
    from voskit.networks.encoders.swin import build_swin

    return build_swin(size, stages, drop_path)


def _video_swin(size: str, _: NormLayer, drop_path: float) -> Encoder:
    from voskit.networks.encoders.video_swin import build_video_swin

    return build_video_swin(size, drop_path)


for _name in ("resnet50", "resnet101", "resnest50", "resnest101"):
    ENCODERS.register(_name)(partial(_resnet, _name, False))
ENCODERS.register("swin_base")(partial(_swin, "base", 3))

for _name in ("resnet50", "resnet101"):
    PYRAMIDS.register(_name)(partial(_resnet, _name, True))
for _size in ("tiny", "small", "base", "large"):
    PYRAMIDS.register(f"swin_{_size}")(partial(_swin, _size, 4))
for _size in ("tiny", "small", "base"):
    PYRAMIDS.register(f"video_swin_{_size}")(partial(_video_swin, _size))

__all__ = ["ENCODERS", "PYRAMIDS", "Encoder", "EncoderBuilder", "NormLayer", "build_encoder"]
