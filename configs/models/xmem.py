"""XMem: Long-Term Video Object Segmentation with an Atkinson-Shiffrin Memory Model (Cheng and Schwing, ECCV 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from configs.models.base import PrototypeFields, register_model

if TYPE_CHECKING:
    from typing_extensions import Self


class XMemFamily(PrototypeFields):
    """Fields of the XMem family; the defaults are those of the published model.

    ``mem_every`` is what other families call ``long_term_gap``: either name sets both.
    """

    encoder: str = "resnet50"
    """Encoder of keys."""
    encoder_weights: str = "resnet50-0676ba61.pth"
    """File name of the ImageNet weights from which training starts."""
    value_encoder_weights: str = "resnet18-f37072fd.pth"
    """The same for the encoder of values, a ResNet-18."""
    key_dim: int = 64
    value_dim: int = 512
    hidden_dim: int = 64
    """Channels of the sensory memory; 0: there is none."""
    single_object: bool = False
    """The encoder of values doesn't see the other objects' masks (training on static images)."""
    added_channel: Literal["zeros", "orthogonal"] = "zeros"
    """Weights of the other masks' channel where a single-object checkpoint is loaded: for testing, for training."""
    max_objects: int = 3
    """Most objects of a training clip; there is no such bound at test time."""
    train_augmentation: str = "v1"

    mem_every: int = 5
    """Frames between two that enter the working memory."""
    deep_update_every: int = -1
    """Least number of frames between two deep updates of the sensory memory, which then has an update by the decoder on
    every frame. Negative: deep on memory frames, by the decoder on all others."""
    top_k: int = 30
    """Memory elements that a position reads."""

    short_edge: int | None = 480
    enable_long_term: bool = True
    flip_views: Literal["both", "mirrored"] = "mirrored"

    interpolation: ClassVar[Literal["bicubic", "bilinear"]] = "bilinear"
    least_values: ClassVar[dict[str, int]] = {"short_edge": -1, "hidden_dim": 0, "deep_update_every": -1}

    def __post_init__(self) -> None:
        object.__setattr__(self, "long_term_gap", self.mem_every)
        super().__post_init__()

    def override(self, **changes: Any) -> Self:
        gap = changes.get("long_term_gap")
        if gap is not None and changes.setdefault("mem_every", gap) != gap:
            raise ValueError(f"mem_every ({changes['mem_every']}) and long_term_gap ({gap}) are two names of one field")
        return super().override(**changes)

    def input_rule(self) -> dict[str, Any]:
        return {**super().input_rule(), "exact": True}


@register_model("xmem")
class XMem(XMemFamily):
    """Trained on static images, then on YouTube-VOS and DAVIS (stages s0, s3)."""


@register_model("xmem_s012")
class XMemS012(XMemFamily):
    """Trained on BL30K between the two (stages s0, s1, s2)."""


@register_model("xmem_s2")
class XMemS2(XMemFamily):
    """Trained on YouTube-VOS and DAVIS alone (stage s2)."""


@register_model("xmem_no_sensory")
class XMemNoSensory(XMemFamily):
    """Without sensory memory."""

    hidden_dim = 0


@register_model("xmem_s0")
class XMemS0(XMemFamily):
    """After static images (stage s0): objects don't know of each other."""

    single_object = True
    max_objects = 1
