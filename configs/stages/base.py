"""What a training stage says: data, sampling, losses, optimiser and schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from voskit.configs.base import Config
from voskit.configs.registry import Registry

if TYPE_CHECKING:
    from typing_extensions import Self

STAGES: Registry[type[StageConfig]] = Registry("stage")


class StageConfig(Config):
    """Fields of all stages; the defaults are those of static pre-training (AOT, section 5)."""

    model: tuple[str, ...] = ()
    """Fields of the model's config that the stage sets, as NAME=VALUE."""
    previous: str | None = None
    """Stage whose averaged weights this one starts from; None: from the encoder's ImageNet weights."""
    datasets: tuple[str, ...] = ("static",)
    """What is trained on: ``static``, ``collage``, ``youtubevos``, ``bl30k``, ``burst``, ``ovis``, a registered dataset
    with a split ``train`` (``davis2017``, ``vost``, ``mosev1``, ...), or the JSON file of one's own dataset; with
    sentences ``refcoco``, ``refcoco+``, ``refcocog``, ``refytvos``."""

    crop: int = 465
    """Side of the square training frames; models without ``align_corners`` take one pixel less."""
    clip_length: int = 5
    short_edge: int | None = None
    """Images and videos are scaled to this short edge before they are cropped; None: 480 for a crop of 465, and in
    proportion for others."""
    scale_range: tuple[float, float] = (0.7, 1.3)
    flip: float = 0.5
    """Probability of a horizontal flip of the whole clip."""
    crop_tries: int = 10
    """Most attempts to find a crop that shows objects."""
    min_object_area: float = 0.005
    """Share of a crop that objects have to cover; where no attempt gives that, the crop with most of them is taken."""
    reverse: bool = True
    """Clips are also taken backwards, half of the time."""
    davis_repeat: int = 5
    """How many times DAVIS counts beside YouTube-VOS."""
    davis_gap: int = 12
    """Largest distance between two frames of a clip of DAVIS."""
    ytb_gap: int = 3
    """The same for YouTube-VOS."""
    merge_probability: float = 1.0
    """Probability that objects of another clip are laid over a clip."""

    max_objects: int | None = None
    """Most objects of a clip; None: the model's."""
    sampling: str = "gaps"
    """How clips are drawn and augmented: ``gaps`` as AOT does it, ``skips`` as XMem does it (its stages have more
    fields for that), or another entry of ``voskit.dataloaders.training.build.SAMPLINGS``."""

    total_steps: int = 100_000
    batch_size: int = 16
    """Clips a step, over all processes."""
    workers: int = 8
    """Loader processes of each training process."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9
    """Of SGD."""
    lr: float = 4e-4
    min_lr: float = 2e-5
    min_lr_large: float | None = None
    """Stands for ``min_lr`` with encoders larger than MobileNet."""
    encoder_lr_ratio: float = 0.1
    warm_up_ratio: float = 0.05
    power: float = 0.9
    cosine: bool = False
    cycles: int = 1
    milestones: tuple[int, ...] | None = None
    """Steps at which the rate falls to ``gamma`` times what it was; None: it falls by the power or the cosine."""
    gamma: float = 0.1
    weight_decay: float = 0.03
    decay_all: bool = False
    """Weight decay also of biases and norms."""
    clip_norm: float | None = 5.0
    """Largest norm of the gradient; None: any."""
    clip_only_amp: bool = False
    """Whether that holds in mixed precision only."""
    ema_ratio: float = 0.1
    """The averaged weights' memory as a share of the stage; 0: they are the last weights."""

    loss: str = "bootstrapped_jaccard"
    """A loss of ``voskit.trainers.losses.CLIP_LOSSES``, where one's own can be entered."""
    mining_steps: tuple[int, int] | None = None
    """Steps between which hard mining sets in; None: see ``mining_ratio``."""

    hard_pixel_ratio: float = 0.15
    """Share of pixels that count once hard mining is in full force."""
    mining_ratio: float = 0.5
    """Share of the stage over which hard mining sets in."""
    reference_weight: float = 1.0
    """Weight of the reference frame's loss at the start."""
    reference_ratio: float = 0.1
    """Share of the stage over which that weight falls to 0."""
    sequential_start: float = 1.0
    """From this share of the stage on, predicted masks feed the memory."""
    frozen_in_sequential: tuple[str, ...] = ("patch_wise_id_bank",)
    """Parts of names of parameters that stand still from then on. With none, identity embeddings go on learning; else
    they get no gradient any more, as published."""

    save_every: int = 5000
    keep: int = 8
    """Checkpoints that are kept."""
    log_every: int = 20

    renamed = {
        "optimiser": "optimizer",
        "rate": "lr",
        "least_rate": "min_lr",
        "least_rate_large": "min_lr_large",
        "encoder_rate_ratio": "encoder_lr_ratio",
        "merge": "merge_probability",
        "least_shown": "min_object_area",
        "hardest_pixels": "hard_pixel_ratio",
        "most_ignored": "max_ignored",
    }
    min_clip_length: ClassVar[int] = 2
    """Frames that a clip has at least."""

    @property
    def scaled_edge(self) -> int:
        """``short_edge``, or what stands for it."""
        return round(self.crop * 480 / 465) if self.short_edge is None else self.short_edge

    def for_data(self, clips: int) -> Self:
        """The stage for data of so many clips; some stages count passes over them."""
        return self

    def __post_init__(self) -> None:
        for name in ("crop", "clip_length", "total_steps", "batch_size", "save_every", "keep", "log_every", "cycles"):
            if getattr(self, name) < 1:
                raise ValueError(f"field {name!r} of {type(self).__name__} must be at least 1")
        if self.max_objects is not None and self.max_objects < 1:
            raise ValueError(f"field 'max_objects' of {type(self).__name__} must be at least 1, or None: the model's")
        for name in ("ema_ratio", "lr", "workers", "weight_decay", "encoder_lr_ratio"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"field {name!r} of {type(self).__name__} must be at least 0, got {value}")
        if self.clip_length < self.min_clip_length:
            raise ValueError(f"a training clip has at least {self.min_clip_length} frames: clip_length")
        if not 0 <= self.warm_up_ratio <= 1:
            raise ValueError(f"warm_up_ratio is a share of the stage, 0 to 1, got {self.warm_up_ratio}")
        low, high = self.scale_range
        if not 0 < low <= high:
            raise ValueError(f"scale_range goes from a smaller to a larger positive number, got {self.scale_range}")


def register_stage(name: str):
    """Class decorator that files a stage under ``name``."""
    return STAGES.register(name)


def list_stages() -> list[str]:
    """Names of all stages."""
    return STAGES.names()


def get_stage_config(name: str, **changes: object) -> StageConfig:
    """Return the config of a stage, with some fields changed.

    Raises:
        ValueError: unknown stage or field, or a value of the wrong type; near names are listed.
    """
    return STAGES.get(name)().override(**changes)
