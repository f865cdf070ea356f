"""JointFormer: Joint Modeling of Feature, Correspondence, and a Compressed Memory (Zhang et al., arXiv 2308.13505)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from voskit.configs.models.base import PerObjectConfig, register_model

_FIRST_AND_LAST = {"max_memory_frames": 1}
_THREE = {"max_memory_frames": 3}


class JointFormerConfig(PerObjectConfig):
    """Fields of the JointFormer family; the defaults are those of the published program."""

    encoder: Literal["convmae_base"] = "convmae_base"
    """There is but this one."""
    encoder_weights: str = "convmae_base.pth"
    """File name of the ConvMAE weights from which training starts."""
    update_block_depth: int = 2
    """Blocks that update an object's token by the decoder's features. Both depths are read off a checkpoint."""
    enhance_block_depth: int = 1
    """Blocks that enhance features by tokens."""
    added_channel: Literal["zeros", "normal"] = "zeros"
    """Weights of the other masks' channel where a single-object checkpoint is loaded: for testing, for training."""

    include_last: bool = True
    """The memory also has the latest frame that isn't kept, and every frame updates tokens; else kept frames alone."""
    topk_num: int = 30
    """Positions of the memory that a position reads in each head."""
    topk_range: Literal["all_frames", "every_frame"] = "all_frames"
    """So many of all memory frames together, or of every one."""
    topk_block: Literal["all_blocks", "half", "last_block", "None"] | None = "all_blocks"
    """Blocks that read so few: all of them, the later half, the last one, or none."""
    topk_clstoken: Literal["N", "Y"] = "N"
    """Whether tokens, too, attend to so few positions of a frame."""

    max_memory_frames: int | None = 5
    """Frames that an object keeps, the latest one aside: the one with its mask, and the latest kept ones. None: all."""

    dataset_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "davis2017": {**_FIRST_AND_LAST, "topk_num": 60},
        "youtubevos2018": {**_THREE, "topk_num": 120},
        "youtubevos2019": {**_THREE, "topk_num": 120},
        "vost": {**_THREE, "topk_num": 30},
        "mosev1": {**_THREE, "topk_num": 180},
        "lvos": {**_THREE, "topk_num": 120},
        "visor": {**_FIRST_AND_LAST, "topk_num": 600},
        "burst": {**_THREE, "topk_num": 30},
    }

    @classmethod
    def implied_fields(cls, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
        parts = {"update_block_depth": "convmae.blocks4.", "enhance_block_depth": "convmae.blocks5."}
        depths = {field: len({n.split(".")[2] for n in shapes if n.startswith(p)}) for field, p in parts.items()}
        return {field: depth for field, depth in depths.items() if depth}


@register_model("jointformer")
class JointFormer(JointFormerConfig):
    """For several objects (all stages but s0)."""


@register_model("jointformer_s0")
class JointFormerS0(JointFormerConfig):
    """After static images (stage s0): objects don't know of each other."""

    single_object = True
    max_objects = 1
