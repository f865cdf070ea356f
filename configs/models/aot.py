"""AOT: Associating Objects with Transformers (Yang et al., NeurIPS 2021)."""

from __future__ import annotations

from typing import Any, ClassVar

from voskit.configs.models.base import PrototypeConfig, register_model

_MOST_IDENTITIES = 254  # labels are bytes, and 255 marks ignored pixels


class IdentityBankConfig(PrototypeConfig):
    """Fields of every family with an identity bank (AOT, DeAOT, AOST). The defaults are those of the Tiny models."""

    encoder: str = "mobilenetv2"
    encoder_weights: str = "mobilenet_v2-b0353104.pth"
    """File name of the ImageNet weights that training starts from, in ``pretrain_models``."""
    freeze_bn: bool = True
    """Freeze the statistics, weights and biases of the encoder's batch norms."""
    freeze_at: int = 2
    """Number of frozen encoder stages, counted from the stem (1)."""
    freeze_backbone: bool = False
    """Freeze the whole encoder."""
    align_corners: bool = True
    """Convention for resizing feature maps. It also determines the input size: 16k + 1 pixels if True, 16k if False."""
    embed_dim: int = 256
    max_objects: int = 10
    """Number of identities in the bank. Further objects form further groups on the batch axis."""
    neighbors_apart: bool = False
    """If there are several groups, put objects that are close to each other into different ones. Only the bundled
    weights set it. False: group objects in the order of their ids, as published."""
    num_layers: int = 1
    self_heads: int = 8
    attention_heads: int = 8
    window: int = 15
    """Side of the local window of short-term attention, in positions at stride 16. Odd."""
    local_attention: str | None = None
    """Backend of short-term attention, one of ``voskit.networks.ops.available_backends()``. None: the best one for the
    device."""
    top_k: int | None = None
    """Number of highest-scoring memory positions that long-term attention reads at inference. None: all, as
    published."""
    trained_positions: int | None = None
    """Number of positions of a frame in training. If inference frames have more, the scores of long-term attention are
    multiplied by the ratio of the logarithms, which keeps attention as sharp as in training
    (``voskit.networks.ops.sharpness``). None: don't scale the scores, as published."""
    distance_penalty: float | None = None
    """At inference, subtract this times the squared distance between query and key position from the scores of
    long-term attention. Distances are in units of the map's short edge. Distant look-alikes then get less attention.
    None: no penalty, as published."""
    stray_distance: float | None = None
    """Drop pieces of an object that are farther from its previous mask than this fraction of the map's short edge, if
    at least half of the object is nearer. Most of these pieces lie on look-alikes. None: keep them, as published."""
    vote_in_regions: bool = False
    """Assign small uncertain pieces of an object to the object that surrounds them, so that masks of look-alikes aren't
    patchy. False: assign each position to its most likely object, as published."""
    merge_old_memory: bool = False
    """Store all frames in the long-term memory but the first and the latest at half resolution, as means of 2 x 2 keys
    and values. False: store all at full resolution, as published."""
    drop_path: float = 0.1
    encoder_drop_path: float = 0.3
    """Maximum drop-path rate of the encoder, if it has drop path (Swin)."""
    decoder_uses_all_layers: bool = True
    """Feed the decoder the projected feature and the outputs of all layers. False: only the last output."""
    train_long_term_gap: int = 9999
    """``long_term_gap`` in training clips."""

    max_short_edge_multi_scale: int | None = 624
    max_long_edge: int | None = 1040
    long_term_gap: int = 9999

    renamed = dict(neighbours_apart="neighbors_apart")  # noqa: C408
    fractions: ClassVar[tuple[str, ...]] = ("drop_path", "encoder_drop_path")
    minimums: ClassVar[dict[str, int]] = {
        "short_edge": -1,
        "drop_path": 0,
        "encoder_drop_path": 0,
        "freeze_at": 0,
        "trained_positions": 2,
        "distance_penalty": 0,
        "stray_distance": 0,
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
                raise ValueError(f"{name}: embed_dim ({self.embed_dim}) is not a multiple of {field} ({heads})")
        if self.distance_penalty is not None and (self.merge_old_memory or self.enable_long_term):
            raise ValueError(
                f"{name}: distance_penalty needs whole frames in memory: set merge_old_memory=False and "
                "enable_long_term=False, or distance_penalty=None"
            )
        if self.window % 2 == 0:
            raise ValueError(f"field 'window' of {name} must be odd, got {self.window}")
        if self.max_objects > _MOST_IDENTITIES:
            most = f"at most {_MOST_IDENTITIES} (more objects form more groups)"
            raise ValueError(f"field 'max_objects' of {name} must be {most}, got {self.max_objects}")

    def input_rule(self) -> dict[str, Any]:
        return {**super().input_rule(), "align_corners": self.align_corners}

    def training_crop(self, crop: int) -> int:
        if self.align_corners:
            return crop
        if crop % 16 != 1:
            raise ValueError(f"crop must be a multiple of 16, plus 1, for {type(self).__name__}, got {crop}")
        return crop - 1


class AOTConfig(IdentityBankConfig):
    """Fields of the AOT family. The defaults are those of AOT-Tiny."""

    family: ClassVar[str] = "aot"

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
