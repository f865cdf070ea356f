"""Training stages of JointFormer (arXiv 2308.13505).

Values are those of the authors' command lines, or the defaults of their code for stages without a published one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from voskit.configs.stages.base import register_stage
from voskit.configs.stages.xmem import SkipStageConfig


class JointFormerStageConfig(SkipStageConfig):
    """Fields of every stage of JointFormer. The defaults are those of the stages on videos."""

    model: Mapping[str, Any] = {"added_channel": "normal"}
    token_update_prob: float = 0.6
    """Probability that a frame, other than the first and the last, also updates tokens as a memory frame."""
    clip_length: int = 4
    reference_frames: int = 2
    first_frame_tries: int = 10
    batch_size: int = 12
    lr: float = 5e-5
    encoder_lr_ratio: float = 0.1
    clip_norm: float | None = 0.1
    clip_only_amp: bool = True
    total_steps: int = 150_000
    fine_tuning: int = 10_000

    fractions: ClassVar[tuple[str, ...]] = (*SkipStageConfig.fractions, "token_update_prob")


class LongClipStageConfig(JointFormerStageConfig):
    """Fields of the stages without a published command line."""

    clip_length = 8
    reference_frames = 3
    batch_size = 8
    lr = 1e-5


@register_stage("jointformer_s0")
class JointFormerS0(JointFormerStageConfig):
    """Static images: single objects, clips of three frames."""

    model = {"single_object": True}
    datasets = ("static",)
    clip_length = 3
    max_objects = 1
    batch_size = 24
    milestones = (100_000,)
    fine_tuning = 0


@register_stage("jointformer_s1")
class JointFormerS1(JointFormerStageConfig):
    """BL30K."""

    previous = "jointformer_s0"
    datasets = ("bl30k",)
    skip_from = (0.0, 0.1, 0.3, 0.8)
    crop_area = (0.25, 1.0)
    frame_affine = False
    total_steps = 300_000
    milestones = (200_000,)
    fine_tuning = 0


@register_stage("jointformer_s2")
class JointFormerS2(JointFormerStageConfig):
    """YouTube-VOS and DAVIS after BL30K, or after static images with ``--set previous=jointformer_s0``."""

    previous = "jointformer_s1"
    milestones = (100_000,)


@register_stage("jointformer_s3")
class JointFormerS3(LongClipStageConfig):
    """YouTube-VOS and DAVIS after static images, with fewer steps than s2."""

    previous = "jointformer_s0"
    total_steps = 100_000
    milestones = (80_000,)


@register_stage("jointformer_s4")
class JointFormerS4(JointFormerStageConfig):
    """VOST, with its uncertain pixels ignored."""

    previous = "jointformer_s2"
    datasets = ("vost",)
    first_frame_tries = 20
    max_ignored = 0.2
    total_steps = 30_000
    milestones = (20_000,)
    mining_steps = (4_000, 13_000)
    loss = "bootstrapped_dice_ignoring"


@register_stage("jointformer_s5")
class JointFormerS5(JointFormerStageConfig):
    """MOSE."""

    previous = "jointformer_s1"
    datasets = ("mosev1",)
    milestones = (100_000,)


@register_stage("jointformer_s6")
class JointFormerS6(JointFormerStageConfig):
    """LVOS."""

    previous = "jointformer_s2"
    datasets = ("lvos",)
    total_steps = 5_000
    fine_tuning = 5_000
    milestones = (3_000,)
    mining_steps = (1_000, 2_500)


@register_stage("jointformer_s7")
class JointFormerS7(JointFormerStageConfig):
    """VISOR."""

    previous = "jointformer_s0"
    datasets = ("visor",)
    milestones = (100_000,)


@register_stage("jointformer_s8")
class JointFormerS8(LongClipStageConfig):
    """BURST, with masks converted to PNG files."""

    previous = "jointformer_s0"
    datasets = ("burst",)
    milestones = (120_000,)


@register_stage("jointformer_s9")
class JointFormerS9(LongClipStageConfig):
    """DAVIS, YouTube-VOS, MOSE, BURST and OVIS, mixed."""

    previous = "jointformer_s0"
    datasets = ("davis2017", "youtubevos", "mosev1", "burst", "ovis")
    davis_repeat = 2
    total_steps = 200_000
    milestones = (160_000, 180_000)
    mining_steps = (30_000, 10_000)
