"""Training stages of AOT and DeAOT: static images, then videos (AOT, section 5)."""

from __future__ import annotations

from voskit.configs.stages.base import StageConfig, register_stage


@register_stage("pre")
class Pre(StageConfig):
    """Pre-training on static images, which are turned into short pseudo-videos."""


class MainStageConfig(StageConfig):
    """Fields of the stages on videos. In the second half of a stage, predicted masks enter the memory."""

    datasets: tuple[str, ...] = ("youtubevos",)
    merge_probability: float = 0.3
    lr: float = 2e-4
    min_lr_large: float | None = 1e-5
    weight_decay: float = 0.07
    reference_ratio: float = 1.0
    sequential_start: float = 0.5


@register_stage("pre_ytb")
class PreYtb(MainStageConfig):
    previous = "pre"


@register_stage("pre_dav")
class PreDav(MainStageConfig):
    previous = "pre"
    datasets = ("davis2017",)
    total_steps = 50_000


@register_stage("pre_ytb_dav")
class PreYtbDav(MainStageConfig):
    previous = "pre"
    datasets = ("youtubevos", "davis2017")


@register_stage("ytb")
class Ytb(MainStageConfig):
    pass
