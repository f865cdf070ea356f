"""Base config of training stages: data, sampling, losses, optimizer and schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from voskit.configs.base import Config, mapping_from_text
from voskit.configs.registry import Registry

if TYPE_CHECKING:
    from typing_extensions import Self

STAGES: Registry[type[StageConfig]] = Registry("stage")

S = TypeVar("S", bound="type[StageConfig]")


class StageConfig(Config):
    """Fields of every stage. The defaults are those of static pre-training (AOT, section 5)."""

    model: Mapping[str, Any] = {}
    """Fields of the model config that the stage overrides."""
    previous: str | None = None
    """Stage whose averaged weights this one starts from. None: ImageNet weights for the encoder."""
    datasets: tuple[str, ...] = ("static",)
    """Training data: ``static``, ``collage``, ``youtubevos``, ``bl30k``, ``burst``, ``ovis``, a registered dataset with
    a split ``train`` (``davis2017``, ``vost``, ``mosev1``, ...), or the JSON file of your own dataset. With text
    prompts: ``refcoco``, ``refcoco+``, ``refcocog``, ``refytvos``."""

    crop: int = 465
    """Side length of the square training frames in pixels; one pixel less for models without ``align_corners``."""
    clip_length: int = 5
    """Number of frames in a clip."""
    short_edge: int | None = None
    """Resize images and videos to this short edge before cropping. None: in proportion to ``crop``, 480 for 465."""
    scale_range: tuple[float, float] = (0.7, 1.3)
    """Range of the random scale of a clip."""
    flip: float = 0.5
    """Probability of flipping a whole clip horizontally."""
    crop_tries: int = 10
    """Maximum number of attempts to find a crop that shows objects."""
    min_object_area: float = 0.005
    """Fraction of a crop that objects must cover. If no attempt reaches it, the crop with the largest fraction is
    used."""
    reverse: bool = True
    """Reverse half of the clips in time."""
    davis_repeat: int = 5
    """Weight of DAVIS relative to YouTube-VOS: each of its videos is used this many times per epoch."""
    davis_gap: int = 12
    """Maximum gap between consecutive frames of a clip from DAVIS or any other dataset but YouTube-VOS."""
    ytb_gap: int = 3
    """Maximum gap between consecutive frames of a clip from YouTube-VOS."""
    own_gap: int | None = None
    """Maximum gap between consecutive frames of a clip from a dataset described by a JSON file. None, or a description
    based on DAVIS: ``davis_gap``."""
    merge_probability: float = 1.0
    """Probability of pasting the objects of another clip onto a clip (AOT's dynamic merge)."""
    twins: float = 0.25
    """Probability that a cut-out appears in a collage as several identical copies."""

    max_objects: int | None = None
    """Maximum number of objects in a clip. None: ``max_objects`` of the model."""
    sampling: str = "gaps"
    """Sampling and augmentation of clips: ``gaps`` (AOT), ``skips`` (XMem, whose stages have more fields for it), or
    another entry in ``voskit.dataloaders.training.build.SAMPLINGS``."""

    total_steps: int = 100_000
    batch_size: int = 16
    """Clips per step, over all processes."""
    workers: int = 8
    """Data-loader workers per training process."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9
    """Momentum of SGD."""
    lr: float = 4e-4
    """Learning rate after warm-up."""
    min_lr: float = 2e-5
    """Learning rate at the start of warm-up and at the end of the stage."""
    min_lr_large: float | None = None
    """Replaces ``min_lr`` for models with an encoder larger than MobileNet."""
    encoder_lr_ratio: float = 0.1
    """Learning rate of the encoder relative to ``lr``."""
    warm_up_ratio: float = 0.05
    """Fraction of the stage spent on linear warm-up."""
    power: float = 0.9
    """Exponent of the polynomial decay of the learning rate."""
    cosine: bool = False
    """Use cosine instead of polynomial decay of the learning rate."""
    cycles: int = 1
    """Number of times that the schedule is repeated in the stage."""
    milestones: tuple[int, ...] | None = None
    """Steps at which the learning rate is multiplied by ``gamma``. None: polynomial or cosine decay."""
    gamma: float = 0.1
    weight_decay: float = 0.03
    decay_all: bool = False
    """Also apply weight decay to biases and norms."""
    clip_norm: float | None = 5.0
    """Maximum norm of the gradient. None: no clipping."""
    clip_only_amp: bool = False
    """Clip gradients in mixed precision only."""
    ema_ratio: float = 0.1
    """Time constant of the moving average of the weights, as a fraction of the stage. 0: no averaging."""

    loss: str = "bootstrapped_jaccard"
    """An entry in ``voskit.trainers.losses.CLIP_LOSSES``."""
    mining_steps: tuple[int, int] | None = None
    """First and last step of the transition to hard pixel mining. None: see ``mining_ratio``."""

    hard_pixel_ratio: float = 0.15
    """Fraction of the pixels in the loss once hard pixel mining is fully on."""
    mining_ratio: float = 0.5
    """Fraction of the stage over which hard pixel mining is turned on."""
    reference_weight: float = 1.0
    """Initial weight of the loss on the reference frame."""
    reference_ratio: float = 0.1
    """Fraction of the stage over which ``reference_weight`` falls to 0."""
    sequential_start: float = 1.0
    """Fraction of the stage after which predicted masks instead of true ones enter the memory."""
    frozen_in_sequential: tuple[str, ...] = ("patch_wise_id_bank",)
    """Substrings of the names of parameters that are frozen from ``sequential_start`` on, as published. Empty: the
    identity bank keeps training."""

    save_every: int = 5000
    """Number of steps between checkpoints."""
    keep: int = 8
    """Number of checkpoints to keep."""
    log_every: int = 20
    """Number of steps between log entries."""

    renamed = dict(  # noqa: C408
        optimiser="optimizer",
        rate="lr",
        least_rate="min_lr",
        least_rate_large="min_lr_large",
        encoder_rate_ratio="encoder_lr_ratio",
        merge="merge_probability",
        least_shown="min_object_area",
        hardest_pixels="hard_pixel_ratio",
        most_ignored="max_ignored",
    )
    min_clip_length: ClassVar[int] = 2
    """Minimum of ``clip_length``."""
    fractions: ClassVar[tuple[str, ...]] = (
        "flip",
        "min_object_area",
        "merge_probability",
        "twins",
        "warm_up_ratio",
        "hard_pixel_ratio",
        "mining_ratio",
        "reference_ratio",
        "sequential_start",
    )
    """Names of the fields that are probabilities or fractions, from 0 to 1."""
    counts: ClassVar[tuple[str, ...]] = (
        "crop",
        "clip_length",
        "crop_tries",
        "total_steps",
        "batch_size",
        "save_every",
        "keep",
        "log_every",
        "cycles",
    )
    """Names of the fields that must be at least 1."""

    @property
    def scaled_edge(self) -> int:
        """``short_edge``, or if it is None, its value in proportion to ``crop``."""
        return round(self.crop * 480 / 465) if self.short_edge is None else self.short_edge

    @classmethod
    def present_names(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        values = super().present_names(values)
        if isinstance(values.get("model"), (list, tuple)):  # NAME=VALUE texts, as earlier versions wrote them
            values["model"] = mapping_from_text(values["model"])
        return values

    def for_data(self, clips: int) -> Self:
        """Return the stage for a training set of ``clips`` clips; stages defined in epochs compute their steps."""
        return self

    def __post_init__(self) -> None:
        for name in self.counts:
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"field {name!r} of {type(self).__name__} must be at least 1, got {value}")
        for name in self.fractions:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"field {name!r} of {type(self).__name__} must be from 0 to 1, got {value}")
        defaults = {"own_gap": "davis_gap", "max_objects": "the model's", "short_edge": "one in proportion to crop"}
        for name, default in defaults.items():
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"field {name!r} of {type(self).__name__} must be at least 1, or None for {default}")
        rates = ("lr", "min_lr", "min_lr_large", "encoder_lr_ratio", "power", "gamma", "momentum", "clip_norm")
        for name in ("ema_ratio", "workers", "weight_decay", "reference_weight", *rates):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"field {name!r} of {type(self).__name__} must be at least 0, got {value}")
        if self.clip_length < self.min_clip_length:
            raise ValueError(
                f"field 'clip_length' of {type(self).__name__} must be at least {self.min_clip_length} frames"
            )
        low, high = self.scale_range
        if not 0 < low <= high < math.inf:
            raise ValueError(f"scale_range must be two positive numbers in ascending order, got {self.scale_range}")


def register_stage(name: str) -> Callable[[S], S]:
    """Return a class decorator that registers a stage under ``name``."""
    return STAGES.register(name)  # type: ignore[return-value]


def list_stages() -> list[str]:
    """Return the names of all stages."""
    return STAGES.names()


def get_stage_config(name: str, **changes: object) -> StageConfig:
    """Return the config of a stage, with some fields changed.

    Raises:
        ValueError: the stage or a field is unknown (similar names are suggested), or a value has the wrong type.
    """
    return STAGES.get(name)().override(**changes)
