"""AOT: Associating Objects with Transformers (Yang et al., NeurIPS 2021)."""

from __future__ import annotations

from typing import Any, ClassVar

from voskit.configs.models.base import PrototypeConfig, register_model

_MOST_IDENTITIES = 254  # labels of training and of the identity bank are bytes, and 255 is no identity


class IdentityBankConfig(PrototypeConfig):
    """Fields that AOT and the families after it share; the defaults are those of the Tiny models."""

    encoder: str = "mobilenetv2"
    encoder_weights: str = "mobilenet_v2-b0353104.pth"
    """File name of the ImageNet weights from which training starts."""
    freeze_bn: bool = True
    """Batch norms of the encoder have fixed statistics and weights."""
    freeze_at: int = 2
    """How many stages of the encoder (1 is the stem) training leaves as they are."""
    freeze_backbone: bool = False
    align_corners: bool = True
    """How maps are resized; also fixes the network's input sizes: 16k + 1 with, 16k without."""
    embed_dim: int = 256
    max_objects: int = 10
    """Identities of one bank; more objects are further groups on the batch axis."""
    neighbors_apart: bool = False
    """Where there are several groups, objects of a mask that are close to each other go into different ones; else they
    are grouped in the order of their ids, as published."""
    num_layers: int = 1
    self_heads: int = 8
    attention_heads: int = 8
    window: int = 15
    """Side of the local window of short-term attention, in positions at stride 16."""
    local_attention: str | None = None
    """Back end of short-term attention, of ``voskit.networks.ops.available_backends()``; None: what suits the
    device."""
    top_k: int | None = None
    """Long-term attention reads the likeliest positions only, so many, but for training; None: all, as published."""
    trained_positions: int | None = None
    """Positions of a frame in training. Scores of long-term attention to more of them are multiplied by the ratio of
    the logarithms, so that it is as sharp as it was then (``voskit.networks.ops.sharpness``); None: not, as
    published."""
    drop_path: float = 0.1
    encoder_drop_path: float = 0.3
    """Largest drop-path rate of encoders that have it (Swin)."""
    decoder_uses_all_layers: bool = True
    """The decoder sees the projected feature and every layer's output, else the last output alone."""
    train_long_term_gap: int = 9999

    max_short_edge_multi_scale: int | None = 624
    max_long_edge: int | None = 1040
    long_term_gap: int = 9999

    renamed = {"neighbours_apart": "neighbors_apart"}
    minimums: ClassVar[dict[str, int]] = {
        "short_edge": -1,
        "drop_path": 0,
        "encoder_drop_path": 0,
        "freeze_at": 0,
        "trained_positions": 2,
    }
    training_only: ClassVar[tuple[str, ...]] = (
        "encoder_weights",
        "freeze_bn",
        "freeze_at",
        "freeze_backbone",
        "drop_path",
        "encoder_drop_path",
        "train_long_term_gap",
        "train_augmentation",
        "decay_encoder_norms",
        "local_attention",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        for field, heads in (("self_heads", self.self_heads), ("attention_heads", self.attention_heads)):
            if self.embed_dim % heads:
                raise ValueError(f"{name}: embed_dim ({self.embed_dim}) isn't a multiple of {field} ({heads})")
        if self.window % 2 == 0:
            raise ValueError(f"field 'window' of {name} is odd, so that it has a middle, got {self.window}")
        if self.max_objects > _MOST_IDENTITIES:
            most = f"at most {_MOST_IDENTITIES}: further objects are further groups"
            raise ValueError(f"field 'max_objects' of {name} is {most}, got {self.max_objects}")

    def input_rule(self) -> dict[str, Any]:
        return {**super().input_rule(), "align_corners": self.align_corners}

    def training_crop(self, crop: int) -> int:
        return crop if self.align_corners else crop - 1


class AOTConfig(IdentityBankConfig):
    """Fields of the AOT family; the defaults are those of AOT-Tiny."""

    ffn_dim: int = 1024


@register_model("aott")
class AOTT(AOTConfig):
    pass


@register_model("aots")
class AOTS(AOTConfig):
    num_layers = 2


@register_model("aotb")
class AOTB(AOTConfig):
    num_layers = 3


@register_model("aotl")
class AOTL(AOTB):
    long_term_gap = 5
    train_long_term_gap = 2


@register_model("r50_aotl")
class R50AOTL(AOTL):
    encoder = "resnet50"
    encoder_weights = "resnet50-0676ba61.pth"


@register_model("r101_aotl")
class R101AOTL(AOTL):
    encoder = "resnet101"
    encoder_weights = "resnet101-63fe2227.pth"


@register_model("rs50_aotl")
class RS50AOTL(AOTL):
    encoder = "resnest50"
    encoder_weights = "resnest50-528c19ca.pth"


@register_model("rs101_aotl")
class RS101AOTL(AOTL):
    encoder = "resnest101"
    encoder_weights = "resnest101-22405ba7.pth"


@register_model("swinb_aotl")
class SwinBAOTL(AOTL):
    encoder = "swin_base"
    encoder_weights = "swin_base_patch4_window7_224_22k.pth"
    align_corners = False


@register_model("mobilenetv3_aott")
class MobileNetV3AOTT(AOTT):
    encoder = "mobilenetv3"
    encoder_weights = "mobilenet_v3_large-8738ca79.pth"
