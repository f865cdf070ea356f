"""ReferFormer: Language as Queries for Referring Video Object Segmentation (Wu et al., CVPR 2022, arXiv 2201.00487)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from voskit.configs.models.base import ModelConfig, register_model


class ReferFormerConfig(ModelConfig):
    """Fields of the ReferFormer family. The defaults are those of the published programs."""

    family: ClassVar[str] = "referformer"

    encoder: str = "resnet50"
    encoder_weights: str = ""
    """File name of the ImageNet weights (Video Swin: Kinetics) that training starts from."""
    encoder_drop_path: float = 0.2
    """Maximum drop-path rate of the encoder, if it has drop path (Swin)."""
    text_encoder_weights: str = "roberta_base.safetensors"
    """File name of RoBERTa's weights that training starts from."""
    text_layers: int = 12
    """Number of RoBERTa layers. A checkpoint determines this, ``num_queries`` and ``num_classes``."""
    freeze_text_encoder: bool = True
    """Freeze RoBERTa. Its dropout stays active in training, as published."""
    num_queries: int = 5
    """Number of candidate objects for a text prompt in each frame."""
    num_classes: int = 1
    """Number of scores of a candidate: 1 for being the referred object, or one for each class of the dataset."""
    dropout: float = 0.1

    short_edge: int | None = 360
    window: int | None = 36
    """Number of frames that go through the network together. The candidate is chosen per window, and memory use grows
    with the window. None: the whole video."""
    threshold: float = 0.5
    """Probability above which a pixel belongs to the object."""

    task: ClassVar[Literal["semi_supervised", "referring"]] = "referring"
    pretrained_fields: ClassVar[tuple[str, ...]] = ("encoder_weights", "text_encoder_weights")
    interpolation: ClassVar[Literal["bicubic", "bilinear", "antialiased"]] = "antialiased"
    fractions: ClassVar[tuple[str, ...]] = ("encoder_drop_path", "dropout", "threshold")
    minimums: ClassVar[dict[str, int]] = {"short_edge": -1, "encoder_drop_path": 0, "dropout": 0, "threshold": 0}
    training_only: ClassVar[tuple[str, ...]] = (
        "encoder_weights",
        "encoder_drop_path",
        "text_encoder_weights",
        "freeze_text_encoder",
        "dropout",
    )
    dataset_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {"refytvos": {"window": None}}

    def input_rule(self) -> dict[str, Any]:
        return {**super().input_rule(), "exact": True}

    @classmethod
    def implied_fields(cls, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
        layers = {n.split(".")[3] for n in shapes if n.startswith("text_encoder.encoder.layer.")}
        fields = {"text_layers": len(layers)} if layers else {}
        for field, name in (("num_queries", "query_embed.weight"), ("num_classes", "class_embed.0.weight")):
            if name in shapes:
                fields[field] = shapes[name][0]
        return fields


@register_model("r50_referformer")
class R50ReferFormer(ReferFormerConfig):
    encoder_weights = "resnet50-0676ba61.pth"


@register_model("r101_referformer")
class R101ReferFormer(ReferFormerConfig):
    encoder = "resnet101"
    encoder_weights = "resnet101-63fe2227.pth"


@register_model("swint_referformer")
class SwinTReferFormer(ReferFormerConfig):
    encoder = "swin_tiny"
    encoder_weights = "swin_tiny_patch4_window7_224.pth"


@register_model("swins_referformer")
class SwinSReferFormer(ReferFormerConfig):
    encoder = "swin_small"
    encoder_weights = "swin_small_patch4_window7_224.pth"


@register_model("swinb_referformer")
class SwinBReferFormer(ReferFormerConfig):
    encoder = "swin_base"
    encoder_weights = "swin_base_patch4_window7_224_22k.pth"
    encoder_drop_path = 0.3


@register_model("swinl_referformer")
class SwinLReferFormer(ReferFormerConfig):
    encoder = "swin_large"
    encoder_weights = "swin_large_patch4_window7_224_22k.pth"
    encoder_drop_path = 0.3


@register_model("vswint_referformer")
class VideoSwinTReferFormer(ReferFormerConfig):
    encoder = "video_swin_tiny"
    encoder_weights = "swin_tiny_patch244_window877_kinetics400_1k.pth"


@register_model("vswins_referformer")
class VideoSwinSReferFormer(ReferFormerConfig):
    encoder = "video_swin_small"
    encoder_weights = "swin_small_patch244_window877_kinetics400_1k.pth"


@register_model("vswinb_referformer")
class VideoSwinBReferFormer(ReferFormerConfig):
    encoder = "video_swin_base"
    encoder_weights = "swin_base_patch244_window877_kinetics600_22k.pth"
