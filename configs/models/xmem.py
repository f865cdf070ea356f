"""XMem: Long-Term Video Object Segmentation with an Atkinson-Shiffrin Memory Model (Cheng and Schwing, ECCV 2022)."""

from __future__ import annotations

from typing import ClassVar, Literal

from voskit.configs.models.base import PerObjectConfig, PrototypeConfig, register_model


class XMemConfig(PerObjectConfig, PrototypeConfig):
    """Fields of the XMem family. The defaults are those of the published model."""

    family: ClassVar[str] = "xmem"

    encoder: Literal["resnet50"] = "resnet50"
    """Key encoder."""
    encoder_weights: str = "resnet50-0676ba61.pth"
    """File name of the ImageNet weights of the key encoder."""
    value_encoder_weights: str = "resnet18-f37072fd.pth"
    """File name of the ImageNet weights of the value encoder, a ResNet-18."""
    key_dim: int = 64
    value_dim: int = 512
    hidden_dim: int = 64
    """Channels of the sensory memory. 0: no sensory memory."""
    added_channel: Literal["zeros", "orthogonal"] = "zeros"
    """Initial weights of the input channel for the masks of other objects when a single-object checkpoint is loaded:
    zeros for inference, orthogonal for training."""
    deep_update_every: int = -1
    """Minimum number of frames between two deep updates of the sensory memory; the decoder also updates it on every
    frame. Negative: deep updates on memory frames, updates by the decoder on all others."""
    top_k: int = 30
    """Number of most similar memory elements that each position reads."""

    enable_long_term: bool = True

    pretrained_fields: ClassVar[tuple[str, ...]] = ("encoder_weights", "value_encoder_weights")
    minimums: ClassVar[dict[str, int]] = {"short_edge": -1, "hidden_dim": 0, "deep_update_every": -1}


@register_model("xmem")
class XMem(XMemConfig):
    """XMem trained on static images, then on YouTube-VOS and DAVIS (stages s0, s3)."""


@register_model("xmem_s012")
class XMemS012(XMemConfig):
    """XMem trained on static images, BL30K, then YouTube-VOS and DAVIS (stages s0, s1, s2)."""


@register_model("xmem_s2")
class XMemS2(XMemConfig):
    """XMem trained on YouTube-VOS and DAVIS only (stage s2)."""


@register_model("xmem_no_sensory")
class XMemNoSensory(XMemConfig):
    """XMem without sensory memory."""

    hidden_dim = 0


@register_model("xmem_s0")
class XMemS0(XMemConfig):
    """XMem for single objects, trained on static images (stage s0)."""

    single_object = True
    max_objects = 1
