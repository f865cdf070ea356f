"""The stages of XMem (ECCV 2022, section 4.1): s0 static images, s1 BL30K, s2 or s3 YouTube-VOS and DAVIS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from voskit.configs.stages.base import StageConfig, register_stage


class SkipStageConfig(StageConfig):
    """What all stages of XMem, and of families that train like it, share; the defaults are those of videos."""

    datasets: tuple[str, ...] = ("youtubevos", "davis2017")
    crop: int = 384
    clip_length: int = 8
    max_objects: int | None = 3
    sampling: str = "skips"
    skip_from: tuple[float, ...] = (0.0, 0.1, 0.3, 0.9)
    """Shares of the stage from which on each of ``skips`` holds."""
    skips: tuple[int, ...] = (5, 10, 15, 5)
    """How far a frame is at most from another one of its clip."""
    crop_area: tuple[float, float] = (0.36, 1.0)
    """Share of the frame that a crop takes."""
    fine_tuning: int = 0
    """In so many last steps frames of videos aren't rotated and sheared."""
    frame_affine: bool = True
    """Whether each frame of a video is rotated and sheared by itself."""
    merge_probability: float = 0.0
    first_frame_tries: int = 5
    """Choices of frames that are tried in one video until one begins with an object."""
    max_ignored: float | None = None
    """Clips are left out whose first frame has more ignored pixels than this share of those that aren't background."""

    reference_frames: int = 3
    """Frames in memory at most: the first one, and others that are drawn."""

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
    """Datasets whose masks are so many frames apart divide the skip by this."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.skips) != len(self.skip_from) or self.skip_from[:1] != (0.0,):
            raise ValueError(f"skips {self.skips} need as many skip_from, the first of them 0: {self.skip_from}")
        if self.reference_frames < 1:
            raise ValueError("the first frame is always in memory: reference_frames is at least 1")

    def skip_at(self, progress: float) -> int:
        """The skip at a share of the stage."""
        return [s for start, s in zip(self.skip_from, self.skips, strict=True) if start <= progress][-1]


class XMemStageConfig(SkipStageConfig):
    """What all stages of XMem share."""

    model: tuple[str, ...] = ("added_channel=orthogonal",)
    deep_update_prob: float = 0.2
    """Probability of a deep update of the sensory memory on a frame between the first and the last."""


@register_stage("s0")
class S0(XMemStageConfig):
    """Still images: one object, clips of three frames."""

    model = ("single_object=true",)
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
    """YouTube-VOS and DAVIS after BL30K, or from ImageNet alone with ``--set previous=None``."""

    previous = "s1"
    total_steps = 150_000
    milestones = (120_000,)
    fine_tuning = 10_000


@register_stage("s3")
class S3(XMemStageConfig):
    """The same after still images, shorter."""

    previous = "s0"
    total_steps = 100_000
    milestones = (80_000,)
    fine_tuning = 10_000
