"""Training stages of XMem (ECCV 2022, section 4.1): s0 static images, s1 BL30K, s2 or s3 YouTube-VOS and DAVIS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from voskit.configs.stages.base import StageConfig, register_stage


class SkipStageConfig(StageConfig):
    """Fields of the stages of XMem and JointFormer, which share sampling, augmentation and losses.

    The defaults are those of the stages on videos.
    """

    datasets: tuple[str, ...] = ("youtubevos", "davis2017")
    crop: int = 384
    clip_length: int = 8
    max_objects: int | None = 3
    sampling: str = "skips"
    skip_from: tuple[float, ...] = (0.0, 0.1, 0.3, 0.9)
    """Fraction of the stage at which each of ``skips`` takes effect. The first one is 0."""
    skips: tuple[int, ...] = (5, 10, 15, 5)
    """Maximum distance of a frame from the nearest other frame of its clip, for each part of the stage."""
    crop_area: tuple[float, float] = (0.36, 1.0)
    """Range of the fraction of the frame that a crop covers."""
    fine_tuning: int = 0
    """Number of final steps in which video frames are not rotated or sheared."""
    frame_affine: bool = True
    """Rotate and shear each frame of a video independently."""
    merge_probability: float = 0.0
    first_frame_tries: int = 5
    """Maximum number of attempts to draw frames from a video so that the first one shows an object."""
    max_ignored: float | None = None
    """Drop clips if ignored pixels make up more than this fraction of the first frame's non-background pixels."""

    reference_frames: int = 3
    """Maximum number of memory frames: the first frame and others drawn at random."""

    batch_size: int = 8
    workers: int = 16
    lr: float = 1e-5
    encoder_lr_ratio: float = 1.0
    milestones: tuple[int, ...] | None = ()
    weight_decay: float = 0.05
    decay_all: bool = True
    clip_norm: float | None = None
    ema_ratio: float = 0.0

    loss = "bootstrapped_dice"
    mining_steps: tuple[int, int] | None = (20_000, 70_000)
    save_every: int = 25_000
    log_every: int = 100

    skip_divisors: ClassVar[Mapping[str, int]] = {"youtubevos": 5, "vost": 5, "lvos": 5, "lvosv2": 5, "ovis": 3}
    """Number of frames from one mask of a dataset to the next. The skip is divided by it."""
    fractions: ClassVar[tuple[str, ...]] = (*StageConfig.fractions, "max_ignored")
    counts: ClassVar[tuple[str, ...]] = (*StageConfig.counts, "first_frame_tries", "reference_frames")

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if len(self.skips) != len(self.skip_from) or self.skip_from[:1] != (0.0,):
            raise ValueError(
                f"skip_from {self.skip_from} must start with 0 and have one entry for each of {self.skips}"
            )
        if not all(a <= b <= 1 for a, b in zip(self.skip_from, self.skip_from[1:], strict=False)):
            raise ValueError(f"field 'skip_from' of {name} must rise from 0 to at most 1, got {self.skip_from}")
        if min(self.skips) < 1:
            raise ValueError(f"all entries of field 'skips' of {name} must be at least 1, got {self.skips}")
        low, high = self.crop_area
        if not 0 < low <= high <= 1:
            raise ValueError(
                f"field 'crop_area' of {name} must be two fractions above 0, up to 1, in ascending order, got "
                f"{self.crop_area}"
            )
        if self.fine_tuning < 0:
            raise ValueError(f"field 'fine_tuning' of {name} must be at least 0, got {self.fine_tuning}")

    def skip_at(self, progress: float) -> int:
        """Return the skip at a fraction of the stage (0 to 1)."""
        return [s for start, s in zip(self.skip_from, self.skips, strict=True) if start <= progress][-1]


class XMemStageConfig(SkipStageConfig):
    """Fields of every stage of XMem."""

    model: Mapping[str, Any] = {"added_channel": "orthogonal"}
    deep_update_prob: float = 0.2
    """Probability of a deep update of the sensory memory on each frame except the first and the last."""

    fractions: ClassVar[tuple[str, ...]] = (*SkipStageConfig.fractions, "deep_update_prob")


@register_stage("s0")
class S0(XMemStageConfig):
    """Static images: single objects, clips of three frames."""

    model = {"single_object": True}
    datasets = ("static",)
    clip_length = 3
    max_objects = 1
    reference_frames = 2
    batch_size = 16
    total_steps = 150_000


@register_stage("s1")
class S1(XMemStageConfig):
    """BL30K."""

    previous = "s0"
    datasets = ("bl30k",)
    skip_from = (0.0, 0.1, 0.3, 0.8)
    crop_area = (0.25, 1.0)
    frame_affine = False
    total_steps = 250_000
    milestones = (200_000,)


@register_stage("s2")
class S2(XMemStageConfig):
    """YouTube-VOS and DAVIS after BL30K. ``--set previous=None``: from ImageNet weights."""

    previous = "s1"
    total_steps = 150_000
    milestones = (120_000,)
    fine_tuning = 10_000


@register_stage("s3")
class S3(XMemStageConfig):
    """YouTube-VOS and DAVIS after static images, with fewer steps than s2."""

    previous = "s0"
    total_steps = 100_000
    milestones = (80_000,)
    fine_tuning = 10_000
