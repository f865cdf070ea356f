"""DeAOT: Decoupling Features in Hierarchical Propagation (Yang and Yang, NeurIPS 2022)."""

from __future__ import annotations

from typing import ClassVar, Literal

from voskit.configs.models.aot import IdentityBankConfig
from voskit.configs.models.base import register_model


class DeAOTConfig(IdentityBankConfig):
    """Fields of the DeAOT family. The defaults are those of DeAOT-Tiny."""

    family: ClassVar[str] = "deaot"

    expansion: int = 2
    """Width of each branch's values and gates relative to the embedding. Queries and keys are half as wide as the
    embedding."""

    self_heads: int = 1
    self_top_k: int | None = None
    """Number of highest-scoring positions that self-propagation reads at inference. None: all, as published."""
    attention_heads: int = 1
    decoder_uses_all_layers: Literal[False] = False
    train_augmentation: Literal["v1", "v2"] = "v2"


@register_model("deaott")
class DeAOTT(DeAOTConfig):
    pass


@register_model("deaots")
class DeAOTS(DeAOTConfig):
    num_layers = 2


@register_model("deaotb")
class DeAOTB(DeAOTConfig):
    num_layers = 3


@register_model("deaotl")
class DeAOTL(DeAOTB):
    long_term_gap = 5
    train_long_term_gap = 2


@register_model("r50_deaotl")
class R50DeAOTL(DeAOTL):
    encoder = "resnet50"
    encoder_weights = "resnet50-0676ba61.pth"


@register_model("swinb_deaotl")
class SwinBDeAOTL(DeAOTL):
    encoder = "swin_base"
    encoder_weights = "swin_base_patch4_window7_224_22k.pth"
    align_corners = False
