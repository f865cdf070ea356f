"""JointFormer: Joint Modeling of Feature, Correspondence, and a Compressed Memory (Zhang et al., arXiv 2308.13505)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from voskit.configs.models.base import PerObjectConfig, register_model

_FIRST_AND_LAST = {"max_memory_frames": 1}
_THREE = {"max_memory_frames": 3}


class JointFormerConfig(PerObjectConfig):
    """Fields of the JointFormer family. The defaults are those of the published program."""

    family: ClassVar[str] = "jointformer"

    encoder: Literal["convmae_base"] = "convmae_base"
    """The only encoder of the family."""
    encoder_weights: str = "convmae_base.pth"
    """File name of the ConvMAE weights that training starts from."""
    update_block_depth: int = 2
    """Number of blocks that update an object's token from the decoder's features. A checkpoint determines this and
    ``enhance_block_depth``."""
    enhance_block_depth: int = 1
    """Number of blocks that enhance features with the tokens."""
    added_channel: Literal["zeros", "normal"] = "zeros"
    """Initial weights of the input channel for the masks of other objects when a single-object checkpoint is loaded:
    zeros for inference, normal for training."""

    include_last: bool = True
    """Also keep the previous frame in memory, and update the tokens on every frame. False: use stored frames only."""
    topk_num: int = 30
    """Number of memory positions that each position reads in each head."""
    topk_range: Literal["all_frames", "every_frame"] = "all_frames"
    """Apply ``topk_num`` to all memory frames together, or to each frame separately."""
    topk_block: Literal["all_blocks", "half", "last_block", "None"] | None = "all_blocks"
    """Blocks that ``topk_num`` applies to: all, the later half, the last one, or none."""
    topk_clstoken: Literal["N", "Y"] = "N"
    """Also apply ``topk_num`` to the attention of tokens (``Y``): in the blocks selected by ``topk_block`` and, if it
    selects any, in the blocks that update tokens."""

    max_memory_frames: int | None = 5
    """Maximum number of stored frames of an object: its reference frame and the latest ones, not counting the previous
    frame. None: no limit."""

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
    """JointFormer for several objects (all stages except s0)."""


@register_model("jointformer_s0")
class JointFormerS0(JointFormerConfig):
    """JointFormer for single objects, trained on static images (stage s0)."""

    single_object = True
    max_objects = 1
