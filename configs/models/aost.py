"""AOST: Scalable Video Object Segmentation with Identification Mechanism (Yang et al., TPAMI 2024)."""

from __future__ import annotations

from voskit.configs.models.aot import AOTL
from voskit.configs.models.base import register_model


class AOSTConfig(AOTL):
    """AOT with identities in every layer and a decoder input for every depth: one checkpoint runs at each of them.

    There is no series of sizes; depth takes its place.
    """

    depth: int | None = None
    """How many of ``num_layers`` layers the network has, from the first on; None: all. A checkpoint of all layers
    serves every depth. While a video runs, ``VideoSegmenter.set_depth`` chooses among those that the network has."""
    decay_encoder_norms: bool = True
    """Weight decay also acts on the scales of the encoder's norms (Swin; those of other encoders are fixed)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth is not None and self.depth > self.num_layers:
            raise ValueError(f"field 'depth' of {type(self).__name__} is 1 to {self.num_layers}, got {self.depth}")

    @property
    def depths(self) -> tuple[int, ...]:
        return tuple(range(1, (self.depth or self.num_layers) + 1))


@register_model("aost")
class AOST(AOSTConfig):
    """MobileNet-V2 encoder."""


@register_model("r50_aost")
class R50AOST(AOSTConfig):
    encoder = "resnet50"
    encoder_weights = "resnet50-0676ba61.pth"


@register_model("swinb_aost")
class SwinBAOST(AOSTConfig):
    encoder = "swin_base"
    encoder_weights = "swin_base_patch4_window7_224_22k.pth"
    align_corners = False
