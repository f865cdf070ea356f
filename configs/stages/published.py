"""The stages of AOT and DeAOT."""

from __future__ import annotations

from configs.stages.base import StageConfig, register_stage


@register_stage("pre")
class Pre(StageConfig):
    """Static images made into short pseudo-videos."""


class MainStage(StageConfig):
    """What the stages on video share: predicted masks feed the memory in their second half."""

    datasets: tuple[str, ...] = ("youtubevos",)
    merge: float = 0.3
    rate: float = 2e-4
    least_rate_large: float | None = 1e-5
    weight_decay: float = 0.07
    reference_ratio: float = 1.0
    sequential_start: float = 0.5


@register_stage("pre_ytb")
class PreYtb(MainStage):
    previous = "pre"


@register_stage("pre_dav")
class PreDav(MainStage):
    previous = "pre"
    datasets = ("davis2017",)
    total_steps = 50_000


@register_stage("pre_ytb_dav")
class PreYtbDav(MainStage):
    previous = "pre"
    datasets = ("youtubevos", "davis2017")


@register_stage("ytb")
class Ytb(MainStage):
    pass
