"""Training stages of the bundled weights: freely licensed data, hours on two CPU cores, then a GPU.

They have one two-hundredth of the steps of the published stages and a quarter of the clips per step. So images and
videos are mixed, the encoder is frozen at first, and frames are small until the last stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voskit.configs.stages.base import StageConfig, register_stage


@register_stage("open_small")
class OpenSmall(StageConfig):
    """Small frames and a frozen encoder. The scale range is wide, since inference runs on larger frames (480 rows)."""

    model: Mapping[str, Any] = {"freeze_backbone": True}
    datasets: tuple[str, ...] = ("static", "davis2017")
    davis_repeat: int = 15
    davis_gap: int = 4
    crop: int = 193
    short_edge: int | None = 240
    scale_range: tuple[float, float] = (0.7, 1.8)
    min_object_area: float = 0.02
    clip_length: int = 4
    merge_probability: float = 0.7
    batch_size: int = 4
    workers: int = 1
    total_steps: int = 2000
    mining_ratio: float = 0.7
    reference_ratio: float = 0.5
    sequential_start: float = 0.5
    frozen_in_sequential: tuple[str, ...] = ()  # the identity bank hasn't converged yet
    save_every: int = 100
    keep: int = 2


@register_stage("open_whole")
class OpenWhole(OpenSmall):
    """Training of the whole network, encoder included, on clips with more objects."""

    model: Mapping[str, Any] = {}
    previous: str | None = "open_small"
    merge_probability: float = 0.9
    lr: float = 3e-4
    sequential_start: float = 0.4
    total_steps: int = 2000


@register_stage("open_medium")
class OpenMedium(OpenWhole):
    """Larger frames, with predicted masks in the memory from the first step."""

    previous: str | None = "open_whole"
    crop: int = 257
    short_edge: int | None = 320
    scale_range: tuple[float, float] = (0.75, 1.6)
    davis_repeat: int = 30
    merge_probability: float = 0.7
    lr: float = 2e-4
    min_lr: float = 1e-5
    mining_ratio: float = 0.0
    reference_weight: float = 0.0
    sequential_start: float = 0.0
    total_steps: int = 1200


@register_stage("open_collage")
class OpenCollage(OpenMedium):
    """Collages: many objects among similar ones that belong to the background."""

    previous: str | None = "open_medium"
    datasets: tuple[str, ...] = ("static", "davis2017", "collage")
    davis_repeat: int = 45
    total_steps: int = 1000


@register_stage("open_large")
class OpenLarge(OpenCollage):
    """Collages and larger frames."""

    previous: str | None = "open_collage"
    crop: int = 321
    short_edge: int | None = 400
    scale_range: tuple[float, float] = (0.8, 1.3)
    merge_probability: float = 0.8
    lr: float = 1e-4
    total_steps: int = 600
    save_every: int = 50


@register_stage("open_full")
class OpenFull(OpenLarge):
    """Frames and batches of the published size, on a GPU."""

    model: Mapping[str, Any] = {"train_long_term_gap": 2}
    previous: str | None = "open_large"
    crop: int = 465
    short_edge: int | None = None
    davis_repeat: int = 60
    clip_length: int = 5
    batch_size: int = 16
    workers: int = 14
    lr: float = 2e-4
    total_steps: int = 1500
    save_every: int = 350


@register_stage("open_identities")
class OpenIdentities(OpenCollage):
    """Training of the identity bank, with a frozen encoder and a loss on the reference frame.

    After the earlier stages, which froze the bank after a thousand steps, the network couldn't decode thin objects even
    on the reference frame.
    """

    model: Mapping[str, Any] = {"train_long_term_gap": 2, "freeze_backbone": True}
    previous: str | None = "open_full"
    datasets: tuple[str, ...] = ("davis2017", "collage")
    reference_weight: float = 1.0
    reference_ratio: float = 1.0
    total_steps: int = 1300


@register_stage("bundled_identities")
class BundledIdentities(OpenIdentities):
    """Ten identities and look-alikes, at a higher learning rate than ``open_identities``.

    ``train_bundled.sh`` starts it from ``open_large``. It can also start from a bundled file whose identity bank was
    extended (``voskit export --extend_identities 10``).
    """

    previous: str | None = "open_large"
    twins: float = 0.5
    mining_ratio: float = 0.5
    sequential_start: float = 0.3
    lr: float = 3e-4
    min_lr: float = 3e-5
    total_steps: int = 2000
    save_every: int = 50


@register_stage("bundled_video")
class BundledVideo(BundledIdentities):
    """Generated videos (``datasets/Synthetic``), mixed with images and real videos. The encoder is trained, too."""

    model: Mapping[str, Any] = {"train_long_term_gap": 2}
    previous: str | None = "bundled_identities"
    datasets: tuple[str, ...] = ("static", "davis2017", "collage", "Rendered/rendered.json", "Cutouts/cutouts.json")
    own_gap: int | None = 2
    clip_length: int = 5
    merge_probability: float = 0.5
    mining_ratio: float = 0.3
    sequential_start: float = 0.0
    reference_weight: float = 0.5
    lr: float = 2e-4
    min_lr: float = 2e-5
    total_steps: int = 5000


@register_stage("bundled_large")
class BundledLarge(BundledVideo):
    """Generated videos, with larger frames and longer clips."""

    previous: str | None = "bundled_video"
    crop: int = 385
    short_edge: int | None = 440
    scale_range: tuple[float, float] = (0.8, 1.3)
    clip_length: int = 6
    mining_ratio: float = 0.0
    reference_weight: float = 0.3
    lr: float = 1e-4
    min_lr: float = 4e-6
    total_steps: int = 2500
