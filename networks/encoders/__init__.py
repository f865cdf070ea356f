"""Image encoders by name. Adding one: derive from :class:`Encoder` and enter it in ``ENCODERS``."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from configs import suggest
from networks.encoders.base import Encoder
from networks.encoders.mobilenet_v2 import MobileNetV2
from networks.encoders.mobilenet_v3 import MobileNetV3
from networks.encoders.norms import FrozenBatchNorm
from networks.encoders.resnet import ResNeSt50, ResNeSt101, ResNet50, ResNet101
from networks.encoders.swin import swin_base

Norm = Callable[[int], nn.Module]
ENCODERS: dict[str, Callable[[Norm, float], Encoder]] = {
    "mobilenetv2": lambda norm, _: MobileNetV2(norm),
    "mobilenetv3": lambda norm, _: MobileNetV3(norm),
    "resnet50": lambda norm, _: ResNet50(norm),
    "resnet101": lambda norm, _: ResNet101(norm),
    "resnest50": lambda norm, _: ResNeSt50(norm),
    "resnest101": lambda norm, _: ResNeSt101(norm),
    "swin_base": lambda _, drop_path: swin_base(drop_path),
}


def build_encoder(name: str, *, freeze_bn: bool = True, freeze_at: int = 0, drop_path: float = 0.0) -> Encoder:
    """Build an encoder with random weights.

    Args:
        name: a key of ``ENCODERS``.
        freeze_bn: batch norms are affine maps with fixed statistics, their tensors are buffers.
        freeze_at: how many stages get no gradient (1 is the stem).
        drop_path: largest drop-path rate, for encoders that have it.

    Raises:
        ValueError: unknown name.
    """
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder {name!r}: {suggest(name, ENCODERS)}")
    encoder = ENCODERS[name](FrozenBatchNorm if freeze_bn else nn.BatchNorm2d, drop_path)
    encoder.freeze(freeze_at)
    return encoder


__all__ = ["ENCODERS", "Encoder", "build_encoder"]
