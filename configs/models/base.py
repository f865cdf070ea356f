"""Base configs of models: input size, memory, and other inference settings."""

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
    """Fields of every model: its input size."""

    short_edge: int | None = None
    """Resize frames so that their short edge has this many pixels. None or -1: keep their size."""
    max_long_edge: int | None = None
    """Downscale frames so that their long edge has at most this many pixels. None: no limit."""

    family: ClassVar[str] = ""
    """Family in ``voskit.networks.families.FAMILIES``, which names the network and the engine."""
    task: ClassVar[Literal["semi_supervised", "referring"]] = "semi_supervised"
    """Prompts that define the objects: masks (``semi_supervised``) or text (``referring``)."""
    training_only: ClassVar[tuple[str, ...]] = ("encoder_weights",)
    """Training-only fields, which ``build_model`` doesn't restore from checkpoints of voskit as it does all others."""
    pretrained_fields: ClassVar[tuple[str, ...]] = ("encoder_weights",)
    """Fields with the file names of pretrained encoders that a first training stage starts from."""
    interpolation: ClassVar[Literal["bicubic", "bilinear", "antialiased"]] = "bicubic"
    """Interpolation for resizing frames, see ``voskit.dataloaders.transforms.prepare_image``."""
    minimums: ClassVar[dict[str, int]] = {"short_edge": -1}
    """Minimums of numeric fields; fields that aren't listed must be at least 1."""
    fractions: ClassVar[tuple[str, ...]] = ()
    """Fields that must be less than 1."""
    dataset_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """The authors' settings for a dataset, by its name. ``voskit eval`` uses them unless flags override them."""

    @property
    def depths(self) -> tuple[int, ...]:
        """Depths that can be chosen at run time, ascending. Empty if the network has a fixed depth."""
        return ()

    def pretrained_files(self) -> dict[str, str]:
        """Return the file names of the pretrained encoders by field name."""
        values = self.to_dict()
        return {name: values[name] for name in self.pretrained_fields if values.get(name)}

    def __post_init__(self) -> None:
        for name, value in self.to_dict().items():
            least = self.minimums.get(name, 1)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and not least <= value < math.inf:
                raise ValueError(f"field {name!r} of {type(self).__name__} must be at least {least}, got {value}")
        for name in self.fractions:
            if not (value := getattr(self, name)) < 1:
                raise ValueError(f"field {name!r} of {type(self).__name__} must be less than 1, got {value}")
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

    ``VideoSegmenter`` accepts each field in :data:`INFERENCE_FIELDS` as a keyword argument, which overrides the model's
    value.
    """

    min_short_edge: int | None = None
    """Upscale frames whose short edge has fewer pixels, unless ``short_edge`` is set. None: keep their size."""
    max_short_edge: int | None = None
    """Maximum short edge in pixels, applied before ``max_long_edge``. None: no limit."""
    max_short_edge_multi_scale: int | None = None
    """Replaces ``max_short_edge`` if that is None and there are several test scales."""
    long_term_gap: int = 5
    """Interval in frames at which frames enter the long-term memory, counted from the last stored one."""
    short_term_skip: int = 1
    """Distance in frames of the short-term memory from the current frame. 1: the previous frame."""
    max_memory_frames: int | None = None
    """Maximum number of frames in the long-term memory. None: it grows with the video."""
    background: bool = True
    """Predict background. False for panoptic propagation, where masks label every pixel: each pixel is assigned to the
    most likely object, and pixels of a deleted object to one of the others."""
    presence_frames: int | None = None
    """Number of consecutive low-confidence frames after which an object counts as absent and gets no mask, and of
    consecutive high-confidence frames after which it counts as present again. None: no such test, as published."""
    flip_views: Literal["both", "mirrored"] = "both"
    """Views of flip testing: the mean over the frame and its horizontal flip, or the flip alone."""
    max_objects: int = 10
    """Maximum number of objects in a training clip, and the number of identities in an identity bank."""
    train_augmentation: Literal["v1", "v2"] = "v1"
    """Color augmentation in training, see ``voskit.dataloaders.training.clip_dataset.ClipDataset``."""

    presence_confidences: ClassVar[tuple[float, float]] = (0.4, 0.6)
    """Thresholds of ``presence_frames``: a confidence is low below the first one and high from the second one on."""
    training_only: ClassVar[tuple[str, ...]] = ("encoder_weights", "train_augmentation")

    def input_rule(self) -> dict[str, Any]:
        edges = {name: getattr(self, name) for name in ("min_short_edge", "max_short_edge")}
        return {**super().input_rule(), **edges}

    def training_crop(self, crop: int) -> int:
        """Return the side length of training frames in pixels for a stage's ``crop``.

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
    """Number of frames that a consolidation keeps: the first one and the latest ones."""
    max_long_term_elements: int = 10_000
    """Maximum number of prototypes. New prototypes replace the least used ones."""
    num_prototypes: int = 128
    """Number of prototypes that a consolidation creates."""
    enable_long_term_count_usage: bool = True
    """Track the usage of prototypes. False: new prototypes replace the oldest ones, not the least used ones."""

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
    """Fields of families that put each object on the batch axis (XMem, JointFormer).

    ``mem_every``, XMem's name for ``long_term_gap``, is accepted as an alias.
    """

    single_object: bool = False
    """Hide the masks of other objects when encoding memory frames (training on static images)."""
    max_objects: int = 3
    """Maximum number of objects in a training clip. Inference has no such limit."""

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
        """Alias of ``long_term_gap``."""
        return self.long_term_gap

    def input_rule(self) -> dict[str, Any]:
        return {**super().input_rule(), "exact": True}


INFERENCE_FIELDS = tuple(n for n in PropagationConfig.field_types() if n not in ("max_objects", "train_augmentation"))
"""Fields that ``VideoSegmenter`` accepts as keyword arguments."""


def register_model(name: str) -> Callable[[M], M]:
    """Return a class decorator that registers a model config under ``name``."""
    return MODELS.register(name)  # type: ignore[return-value]


def list_models(task: str | None = None) -> list[str]:
    """Return the names of all models, in the order of the model zoo.

    Args:
        task: list only models with this ``ModelConfig.task``. None: all models.
    """
    return [name for name in MODELS.names() if task in (None, MODELS.get(name).task)]


def get_model_config(name: str, **changes: object) -> ModelConfig:
    """Return the config of a model, with some fields changed.

    Raises:
        ValueError: the model or a field is unknown (similar names are suggested), or a value has the wrong type.
    """
    return MODELS.get(name)().override(**changes)


def models_with_depths() -> list[str]:
    """Return the names of the models whose depth can be chosen at run time."""
    return [name for name in MODELS.names() if get_model_config(name).depths]


def model_name(config: ModelConfig) -> str:
    """Return the name that a config's class is registered under.

    Raises:
        ValueError: the class is not registered.
    """
    for name in MODELS.names():
        if MODELS.get(name) is type(config):
            return name
    raise ValueError(f"{type(config).__name__} is not a registered model: decorate it with @register_model")
