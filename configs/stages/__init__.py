"""Training stages by name. One's own is a class of five lines::

@register_stage("mine")
class Mine(MainStage):
    datasets = ("my_videos.json",)
    total_steps = 20_000
    previous = "pre"
"""

from configs.stages.base import StageConfig, get_stage_config, list_stages, register_stage
from configs.stages.jointformer import JointFormerStage
from configs.stages.open_data import OpenLarge, OpenSmall
from configs.stages.published import MainStage
from configs.stages.referformer import ReferringStage
from configs.stages.xmem import SkipStage, XMemStage

__all__ = [
    "JointFormerStage",
    "MainStage",
    "OpenLarge",
    "OpenSmall",
    "ReferringStage",
    "SkipStage",
    "StageConfig",
    "XMemStage",
    "get_stage_config",
    "list_stages",
    "register_stage",
]
