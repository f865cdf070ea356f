"""AOST: Scalable Video Object Segmentation with Identification Mechanism (Yang et al., TPAMI 2024)."""

from __future__ import annotations

from typing import ClassVar

from voskit.configs.models.aot import AOTL
from voskit.configs.models.base import register_model


class AOSTConfig(AOTL):
    """Fields of the AOST family: AOT with identities in every layer and a decoder input for every depth.

    One checkpoint runs at every depth, so there are no models of other sizes.
    """

    family: ClassVar[str] = "aost"

    depth: int | None = None
    """Number of layers to build, from the first one on. None: ``num_layers``. A checkpoint of all layers can be loaded
    at every depth. ``VideoSegmenter.set_depth`` can lower the depth during a video."""
    decay_encoder_norms: bool = True
    """Also apply weight decay to the scales of the encoder's norms (Swin; other encoders have frozen norms)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth is not None and self.depth > self.num_layers:
            raise ValueError(f"field 'depth' of {type(self).__name__} must be 1 to {self.num_layers}, got {self.depth}")

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
