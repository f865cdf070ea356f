"""Image encoders by name. Adding one: derive from :class:`Encoder` and enter it in ``ENCODERS``."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from voskit.configs import suggest
from voskit.networks.encoders.base import Encoder
from voskit.networks.encoders.mobilenet_v2 import MobileNetV2
from voskit.networks.encoders.mobilenet_v3 import MobileNetV3
from voskit.networks.encoders.norms import FrozenBatchNorm
from voskit.networks.encoders.resnet import ResNeSt50, ResNeSt101, ResNet50, ResNet101, WholeResNet50, WholeResNet101
from voskit.networks.encoders.swin import SWIN_SIZES, build_swin
from voskit.networks.encoders.video_swin import VideoSwin

Norm = Callable[[int], nn.Module]


def _swin_builder(size: str) -> Callable[[Norm, float], Encoder]:
    return lambda _, drop_path: build_swin(size, 4, drop_path)


def _video_swin_builder(size: str) -> Callable[[Norm, float], Encoder]:
    return lambda _, drop_path: VideoSwin(*SWIN_SIZES[size], drop_path)


ENCODERS: dict[str, Callable[[Norm, float], Encoder]] = {
    "mobilenetv2": lambda norm, _: MobileNetV2(norm),
    "mobilenetv3": lambda norm, _: MobileNetV3(norm),
    "resnet50": lambda norm, _: ResNet50(norm),
    "resnet101": lambda norm, _: ResNet101(norm),
    "resnest50": lambda norm, _: ResNeSt50(norm),
    "resnest101": lambda norm, _: ResNeSt101(norm),
    "swin_base": lambda _, drop_path: build_swin("base", drop_path=drop_path),
}
PYRAMIDS: dict[str, Callable[[Norm, float], Encoder]] = {
    "resnet50": lambda norm, _: WholeResNet50(norm),
    "resnet101": lambda norm, _: WholeResNet101(norm),
    **{f"swin_{size}": _swin_builder(size) for size in SWIN_SIZES},
    **{f"video_swin_{size}": _video_swin_builder(size) for size in ("tiny", "small", "base")},
}
"""Encoders whose last map has stride 32."""


def build_encoder(
    name: str, *, freeze_bn: bool = True, freeze_at: int = 0, drop_path: float = 0.0, to_stride_32: bool = False
) -> Encoder:
    """Build an encoder with random weights.

    Args:
        name: a key of ``ENCODERS``, or of ``PYRAMIDS`` with ``to_stride_32``.
        freeze_bn: batch norms are affine maps with fixed statistics, their tensors are buffers.
        freeze_at: how many stages get no gradient (1 is the stem).
        drop_path: largest drop-path rate, for encoders that have it.
        to_stride_32: the whole encoder; else up to stride 16.

    Raises:
        ValueError: unknown name.
    """
    known = PYRAMIDS if to_stride_32 else ENCODERS
    if name not in known:
        raise ValueError(f"unknown encoder {name!r}: {suggest(name, known)}")
    encoder = known[name](FrozenBatchNorm if freeze_bn else nn.BatchNorm2d, drop_path)
    encoder.freeze(freeze_at)
    return encoder


__all__ = ["ENCODERS", "PYRAMIDS", "Encoder", "build_encoder"]
