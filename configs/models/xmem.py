"""XMem: Long-Term Video Object Segmentation with an Atkinson-Shiffrin Memory Model (Cheng and Schwing, ECCV 2022)."""

from __future__ import annotations

from typing import ClassVar, Literal

from voskit.configs.models.base import PerObjectConfig, PrototypeConfig, register_model


class XMemConfig(PerObjectConfig, PrototypeConfig):
    """Fields of the XMem family; the defaults are those of the published model."""

    encoder: Literal["resnet50"] = "resnet50"
    """Encoder of keys."""
    encoder_weights: str = "resnet50-0676ba61.pth"
    """File name of the ImageNet weights from which training starts."""
    value_encoder_weights: str = "resnet18-f37072fd.pth"
    """The same for the encoder of values, a ResNet-18."""
    key_dim: int = 64
    value_dim: int = 512
    hidden_dim: int = 64
    """Channels of the sensory memory; 0: there is none."""
    added_channel: Literal["zeros", "orthogonal"] = "zeros"
    """Weights of the other masks' channel where a single-object checkpoint is loaded: for testing, for training."""
    deep_update_every: int = -1
    """Least number of frames between two deep updates of the sensory memory, which then has an update by the decoder on
    every frame. Negative: deep on memory frames, by the decoder on all others."""
    top_k: int = 30
    """Memory elements that a position reads."""

    enable_long_term: bool = True

    minimums: ClassVar[dict[str, int]] = {"short_edge": -1, "hidden_dim": 0, "deep_update_every": -1}


@register_model("xmem")
class XMem(XMemConfig):
    """Trained on static images, then on YouTube-VOS and DAVIS (stages s0, s3)."""


@register_model("xmem_s012")
class XMemS012(XMemConfig):
    """Trained on BL30K between the two (stages s0, s1, s2)."""


@register_model("xmem_s2")
class XMemS2(XMemConfig):
    """Trained on YouTube-VOS and DAVIS alone (stage s2)."""


@register_model("xmem_no_sensory")
class XMemNoSensory(XMemConfig):
    """Without sensory memory."""

    hidden_dim = 0


@register_model("xmem_s0")
class XMemS0(XMemConfig):
    """After static images (stage s0): objects don't know of each other."""

    single_object = True
    max_objects = 1
