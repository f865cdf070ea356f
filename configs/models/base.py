"""What every model's config has: how its authors feed and remember frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from voskit.configs.base import Config
from voskit.configs.registry import Registry

if TYPE_CHECKING:
    from typing_extensions import Self

MODELS: Registry[type[ModelConfig]] = Registry("model")


class ModelConfig(Config):
    """Fields that all families share: the size at which frames are seen."""

    short_edge: int | None = None
    """Frames are resized until their short edge has this many pixels; None or -1: they keep their size."""
    max_long_edge: int | None = None
    """Frames are scaled down until their long edge is at most this many pixels; None: no limit."""

    task: ClassVar[Literal["semi_supervised", "referring"]] = "semi_supervised"
    """What the objects are told by: masks, or sentences."""
    training_only: ClassVar[tuple[str, ...]] = ("encoder_weights",)
    """Fields that say how weights are trained, or where a network runs: all others hold for those who use the weights,
    too, and so a file of ours sets them for the network built from it."""
    interpolation: ClassVar[Literal["bicubic", "bilinear", "antialiased"]] = "bicubic"
    """How frames are resized, see ``voskit.dataloaders.transforms.prepare_image``."""
    minimums: ClassVar[dict[str, int]] = {"short_edge": -1}
    """Least values of numbers for which that isn't 1."""
    dataset_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Fields that the authors chose for a dataset, by its name; ``tools/eval.py`` takes them where it is told nothing
    else."""

    @property
    def depths(self) -> tuple[int, ...]:
        """Depths at which the network can be run, ascending, to be chosen while a video runs; empty: it has but one."""
        return ()

    def __post_init__(self) -> None:
        for name, value in self.to_dict().items():
            least = self.minimums.get(name, 1)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and not least <= value < math.inf:
                raise ValueError(f"field {name!r} of {type(self).__name__} must be at least {least}, got {value}")
        if self.short_edge == 0:
            own = "-1 for the frame's own size"
            raise ValueError(f"field 'short_edge' of {type(self).__name__} is in pixels, or {own}")

    def input_rule(self) -> dict[str, Any]:
        """Arguments of ``voskit.dataloaders.transforms.input_size`` but for the frame's size and the test scale."""
        return {name: getattr(self, name) for name in ("short_edge", "max_long_edge")}

    @classmethod
    def implied_fields(cls, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
        """Fields that follow from the names and shapes of the tensors of a file, such as the number of blocks."""
        return {}


class PropagationConfig(ModelConfig):
    """Fields that all families share which propagate given masks. They describe inference as the authors published it.

    ``VideoSegmenter`` takes each of these fields but the last two, which are of training, by keyword and then uses that
    value in place of the model's.
    """

    max_short_edge: int | None = None
    """The same limit for the short edge; applied before the long edge's."""
    max_short_edge_multi_scale: int | None = None
    """Stands for ``max_short_edge`` where that is None and there are several test scales."""
    long_term_gap: int = 5
    """Frames between two that enter the long-term memory."""
    short_term_skip: int = 1
    """Which earlier frame is the short-term memory: 1 is the previous frame."""
    max_memory_frames: int | None = None
    """Bound of the long-term memory in frames; None: it grows with the video."""
    background: bool = True
    """Whether a pixel that was predicted may belong to no object. False for panoptic propagation, where masks say of
    every pixel what it is: a pixel then belongs to the likeliest object, and what was a deleted one's to another."""
    flip_views: Literal["both", "mirrored"] = "both"
    """What flipping at test time means: the mean of a frame and its mirror image, or the mirror image alone."""
    max_objects: int = 10
    """Most objects of a training clip; families with an identity bank have so many identities in it."""
    train_augmentation: Literal["v1", "v2"] = "v1"
    """Changes of colour in training, see ``voskit.dataloaders.training.clip_dataset.ClipDataset``."""

    training_only: ClassVar[tuple[str, ...]] = ("encoder_weights", "train_augmentation")

    def input_rule(self) -> dict[str, Any]:
        return {**super().input_rule(), "max_short_edge": self.max_short_edge}

    def training_crop(self, crop: int) -> int:
        """Side of the frames in training, given the stage's."""
        return crop


class PrototypeConfig(PropagationConfig):
    """A long-term memory of prototypes (XMem, section 3.3), for families that can have one."""

    enable_long_term: bool = False
    """Old frames of the memory become a few prototypes, so that memory is bounded; else frames are kept as they are."""
    max_mid_term_frames: int = 10
    """The working memory is consolidated when it holds so many frames."""
    min_mid_term_frames: int = 5
    """Frames that then stay: the first one and the latest."""
    max_long_term_elements: int = 10_000
    """Bound of the long-term memory in prototypes: those that are used least make room."""
    num_prototypes: int = 128
    """Prototypes that a consolidation makes."""
    enable_long_term_count_usage: bool = True
    """Uses of prototypes are counted. Else the oldest ones make room, and not those that are used least."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.enable_long_term:
            return
        if self.min_mid_term_frames >= self.max_mid_term_frames:
            raise ValueError(
                f"min_mid_term_frames ({self.min_mid_term_frames}) must be smaller than max_mid_term_frames "
                f"({self.max_mid_term_frames}): a consolidation would have no frames to work on"
            )
        if self.num_prototypes > self.max_long_term_elements:
            raise ValueError(
                f"num_prototypes ({self.num_prototypes}) must not be larger than max_long_term_elements "
                f"({self.max_long_term_elements}): the long-term memory couldn't hold one consolidation"
            )


class PerObjectConfig(PropagationConfig):
    """Families in which each object is a row of the batch with a mask of its own, fed as XMem's authors feed it.

    ``mem_every`` is what other families call ``long_term_gap``: either name sets both.
    """

    mem_every: int = 5
    """Frames between two that enter the memory."""
    single_object: bool = False
    """Memory frames don't show the other objects' masks (training on static images)."""
    max_objects: int = 3
    """Most objects of a training clip; there is no such bound at test time."""

    short_edge: int | None = 480
    flip_views: Literal["both", "mirrored"] = "mirrored"

    interpolation: ClassVar[Literal["bicubic", "bilinear", "antialiased"]] = "bilinear"
    training_only: ClassVar[tuple[str, ...]] = (
        "encoder_weights",
        "value_encoder_weights",
        "added_channel",
        "train_augmentation",
    )

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


INFERENCE_FIELDS = tuple(n for n in PropagationConfig.field_types() if n not in ("max_objects", "train_augmentation"))
"""Fields that ``VideoSegmenter`` takes."""


def register_model(name: str):
    """Class decorator that files a model config under ``name``."""
    return MODELS.register(name)


def list_models(task: str | None = None) -> list[str]:
    """Names of all models, in the order of the model zoo; with ``task`` of those with that ``ModelConfig.task``."""
    return [name for name in MODELS.names() if task in (None, MODELS.get(name).task)]


def get_model_config(name: str, **changes: object) -> ModelConfig:
    """Return the config of a model, with some fields changed.

    Raises:
        ValueError: unknown model, unknown field, or a value of the wrong type; near names are listed.
    """
    return MODELS.get(name)().override(**changes)


def models_with_depths() -> list[str]:
    """Names of the models whose depth can be chosen at run time."""
    return [name for name in MODELS.names() if get_model_config(name).depths]


def model_name(config: ModelConfig) -> str:
    """The name under which a config's class is registered."""
    for name in MODELS.names():
        if MODELS.get(name) is type(config):
            return name
    raise ValueError(f"{type(config).__name__} is not a registered model; file it with @register_model")
