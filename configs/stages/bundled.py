"""How the small model in ``pretrain_models`` was trained: freely licensed data, hours of two CPU cores, at last a GPU.

Two hundred times fewer steps of a quarter of the clips than published, so images and videos come together and
everything happens earlier: the encoder stands still at first, and frames are small until the last stage.
"""

from __future__ import annotations

from voskit.configs.stages.base import StageConfig, register_stage


@register_stage("open_small")
class OpenSmall(StageConfig):
    """Small frames. Scales vary much, since the network will see frames of 480 rows."""

    model: tuple[str, ...] = ("freeze_backbone=true",)
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
    frozen_in_sequential: tuple[str, ...] = ()  # after so few steps the identities aren't learned yet
    save_every: int = 100
    keep: int = 2


@register_stage("open_whole")
class OpenWhole(OpenSmall):
    """The encoder learns, too, and there are more objects."""

    model: tuple[str, ...] = ()
    previous: str | None = "open_small"
    merge_probability: float = 0.9
    lr: float = 3e-4
    sequential_start: float = 0.4
    total_steps: int = 2000


@register_stage("open_medium")
class OpenMedium(OpenWhole):
    """Larger frames from larger videos, with masks that the network predicted itself."""

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
    """Many more objects, between others like them that are background."""

    previous: str | None = "open_medium"
    datasets: tuple[str, ...] = ("static", "davis2017", "collage")
    davis_repeat: int = 45
    total_steps: int = 1000


@register_stage("open_large")
class OpenLarge(OpenCollage):
    """Still larger frames."""

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
    """Frames and batches of the published size, for a GPU."""

    model: tuple[str, ...] = ("train_long_term_gap=2",)
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
    """The identity bank learns again: the reference frame's own loss teaches it what a mask looks like within a patch.

    Before, it stood still from the first thousand steps on, and thin objects couldn't be decoded even on the frame
    whose mask was given.
    """

    model: tuple[str, ...] = ("train_long_term_gap=2", "freeze_backbone=true")
    previous: str | None = "open_full"
    datasets: tuple[str, ...] = ("davis2017", "collage")
    reference_weight: float = 1.0
    reference_ratio: float = 1.0
    total_steps: int = 1300
