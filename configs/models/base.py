"""Base configs of all models: input size, memory, and other settings of inference."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar

from voskit.configs.base import Config
from voskit.configs.registry import Registry

_FAMILIES = ("aot", "aost", "deaot", "jointformer", "referformer", "xmem")
MODELS: Registry[type[ModelConfig]] = Registry("model", [f"voskit.configs.models.{family}" for family in _FAMILIES])

M = TypeVar("M", bound="type[ModelConfig]")


class ModelConfig(Config):
    """Fields of every model: the size at which it sees a frame."""

    short_edge: int | None = None
    """Resize frames until their short edge has this many pixels. None or -1: keep their size."""
    max_long_edge: int | None = None
    """Scale frames down until their long edge has at most this many pixels. None: no limit."""

    family: ClassVar[str] = ""
    """Name of the network and engine that run the model, in ``voskit.networks.families.FAMILIES``."""
    task: ClassVar[Literal["semi_supervised", "referring"]] = "semi_supervised"
    """Prompts that define the objects: masks (``semi_supervised``) or text (``referring``)."""
    training_only: ClassVar[tuple[str, ...]] = ("encoder_weights",)
    """Training-only fields. All other fields are stored in checkpoints of voskit and restored by ``build_model``."""
    pretrained_fields: ClassVar[tuple[str, ...]] = ("encoder_weights",)
    """Fields with the file names of pretrained encoders, from which a first stage starts."""
    interpolation: ClassVar[Literal["bicubic", "bilinear", "antialiased"]] = "bicubic"
    """Interpolation for resizing frames, see ``voskit.dataloaders.transforms.prepare_image``."""
    minimums: ClassVar[dict[str, int]] = {"short_edge": -1}
    """Smallest values of the numeric fields whose minimum isn't 1."""
    dataset_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Fields that the authors chose for a dataset, by its name. ``voskit eval`` uses them unless flags set others."""

    @property
    def depths(self) -> tuple[int, ...]:
        """Depths that can be chosen at run time, ascending. Empty if the network has one depth only."""
        return ()

    def pretrained_files(self) -> dict[str, str]:
        """Return the file names of the pretrained encoders by the fields that name them."""
        values = self.to_dict()
        return {name: values[name] for name in self.pretrained_fields if values.get(name)}

    def __post_init__(self) -> None:
        for name, value in self.to_dict().items():
            least = self.minimums.get(name, 1)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and not least <= value < math.inf:
                raise ValueError(f"field {name!r} of {type(self).__name__} must be at least {least}, got {value}")
        if self.short_edge == 0:
            raise ValueError(
                f"field 'short_edge' of {type(self).__name__} must be in pixels, or -1 for the frame's own size"
            )

    def input_rule(self) -> dict[str, Any]:
        """Return the arguments of ``voskit.dataloaders.transforms.input_size`` that don't depend on the frame."""
        return {name: getattr(self, name) for name in ("short_edge", "max_long_edge")}

    @classmethod
    def implied_fields(cls, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
        """Return the fields that the tensors of a checkpoint determine, such as the number of blocks.

        Args:
            shapes: shapes of the checkpoint's tensors by name.
        """
        return {}


class PropagationConfig(ModelConfig):
    """Fields of every model that propagates masks. The defaults describe inference as the authors published it.

    ``VideoSegmenter`` takes each field of :data:`INFERENCE_FIELDS` as a keyword, which overrides the model's value.
    """

    min_short_edge: int | None = None
    """Enlarge frames whose short edge has fewer pixels, unless ``short_edge`` is set. None: keep their size."""
    max_short_edge: int | None = None
    """Limit of the short edge in pixels, applied before the limit of the long edge. None: no limit."""
    max_short_edge_multi_scale: int | None = None
    """Replaces ``max_short_edge`` if that is None and there are several test scales."""
    long_term_gap: int = 5
    """Store a frame in the long-term memory once this many frames have passed since the last stored one."""
    short_term_skip: int = 1
    """Distance in frames of the short-term memory from the current frame. 1: the previous frame."""
    max_memory_frames: int | None = None
    """Largest number of frames in the long-term memory. None: it grows with the video."""
    background: bool = True
    """True if a predicted pixel can belong to no object. False for panoptic propagation, whose masks label every
    pixel: each pixel then goes to the likeliest object, and pixels of a deleted object go to another object."""
    presence_frames: int | None = None
    """Consecutive frames in which an object is unsure before it counts as absent and has no mask, and in which it is
    sure before it counts as present again. None: every prediction counts, as published."""
    flip_views: Literal["both", "mirrored"] = "both"
    """Views of horizontal-flip testing: the mean of a frame and its mirror image, or the mirror image alone."""
    max_objects: int = 10
    """Largest number of objects in a training clip, and the number of identities in an identity bank."""
    train_augmentation: Literal["v1", "v2"] = "v1"
    """Color augmentation in training, see ``voskit.dataloaders.training.clip_dataset.ClipDataset``."""

    presence_confidences: ClassVar[tuple[float, float]] = (0.4, 0.6)
    """An object is unsure in a frame below the first confidence, and an absent one is sure from the second one on."""
    training_only: ClassVar[tuple[str, ...]] = ("encoder_weights", "train_augmentation")

    def input_rule(self) -> dict[str, Any]:
        edges = {name: getattr(self, name) for name in ("min_short_edge", "max_short_edge")}
        return {**super().input_rule(), **edges}

    def training_crop(self, crop: int) -> int:
        """Return the side of training frames in pixels for a stage's ``crop``.

        Raises:
            ValueError: the family can't be trained on frames of this size.
        """
        return crop


class PrototypeConfig(PropagationConfig):
    """Fields of a long-term memory of prototypes (XMem, section 3.3)."""

    enable_long_term: bool = False
    """Consolidate old memory frames into a few prototypes, which bounds the memory. False: keep the frames."""
    max_mid_term_frames: int = 10
    """Number of frames in the working memory that triggers a consolidation."""
    min_mid_term_frames: int = 5
    """Number of frames that a consolidation keeps: the first one and the latest."""
    max_long_term_elements: int = 10_000
    """Largest number of prototypes. The least used ones make room for new ones."""
    num_prototypes: int = 128
    """Prototypes made by a consolidation."""
    enable_long_term_count_usage: bool = True
    """Count how often each prototype is used. False: the oldest prototypes make room, not the least used ones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.enable_long_term:
            return
        if self.min_mid_term_frames >= self.max_mid_term_frames:
            raise ValueError(
                f"min_mid_term_frames ({self.min_mid_term_frames}) must be smaller than max_mid_term_frames "
                f"({self.max_mid_term_frames}), or a consolidation has no frames to work on"
            )
        if self.num_prototypes > self.max_long_term_elements:
            raise ValueError(
                f"num_prototypes ({self.num_prototypes}) must not be larger than max_long_term_elements "
                f"({self.max_long_term_elements}), or the long-term memory can't hold one consolidation"
            )


class PerObjectConfig(PropagationConfig):
    """Fields of families that hold each object as a row of the batch (XMem, JointFormer).

    ``mem_every``, as XMem's authors call it, is a second name of ``long_term_gap``.
    """

    single_object: bool = False
    """Hide the masks of other objects from memory frames (training on static images)."""
    max_objects: int = 3
    """Largest number of objects in a training clip. Inference has no such limit."""

    short_edge: int | None = 480
    flip_views: Literal["both", "mirrored"] = "mirrored"

    aliases = {"mem_every": "long_term_gap"}
    interpolation: ClassVar[Literal["bicubic", "bilinear", "antialiased"]] = "bilinear"
    training_only: ClassVar[tuple[str, ...]] = (
        "encoder_weights",
        "value_encoder_weights",
        "added_channel",
        "train_augmentation",
    )

    def training_crop(self, crop: int) -> int:
        if crop % 16:
            raise ValueError(f"crop must be a multiple of 16 for {type(self).__name__}, got {crop}")
        return crop

    @property
    def mem_every(self) -> int:
        """``long_term_gap`` under the name that XMem's authors use."""
        return self.long_term_gap

    def input_rule(self) -> dict[str, Any]:
        return {**super().input_rule(), "exact": True}


INFERENCE_FIELDS = tuple(n for n in PropagationConfig.field_types() if n not in ("max_objects", "train_augmentation"))
"""Fields that ``VideoSegmenter`` takes as keywords."""


def register_model(name: str) -> Callable[[M], M]:
    """Return a class decorator that registers a model config under ``name``."""
    return MODELS.register(name)  # type: ignore[return-value]


def list_models(task: str | None = None) -> list[str]:
    """Return the names of all models, in the order of the model zoo.

    Args:
        task: only models with this ``ModelConfig.task``. None: all models.
    """
    return [name for name in MODELS.names() if task in (None, MODELS.get(name).task)]


def get_model_config(name: str, **changes: object) -> ModelConfig:
    """Return the config of a model, with some fields changed.

    Raises:
        ValueError: an unknown model or field (similar names are suggested), or a value of the wrong type.
    """
    return MODELS.get(name)().override(**changes)


def models_with_depths() -> list[str]:
    """Return the names of the models whose depth can be chosen at run time."""
    return [name for name in MODELS.names() if get_model_config(name).depths]


def model_name(config: ModelConfig) -> str:
    """Return the name under which the class of a config is registered.

    Raises:
        ValueError: the class is not registered.
    """
    for name in MODELS.names():
        if MODELS.get(name) is type(config):
            return name
    raise ValueError(f"{type(config).__name__} is not a registered model: decorate it with @register_model")
