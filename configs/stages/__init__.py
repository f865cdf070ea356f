"""Training stages by name. A stage of your own takes five lines::

@register_stage("mine")
class Mine(MainStageConfig):
    datasets = ("my_videos.json",)
    total_steps = 20_000
    previous = "pre"
"""

from voskit.configs.stages.aot import MainStageConfig
from voskit.configs.stages.base import StageConfig, get_stage_config, list_stages, register_stage
from voskit.configs.stages.bundled import OpenLarge, OpenSmall
from voskit.configs.stages.jointformer import JointFormerStageConfig
from voskit.configs.stages.referformer import ReferringStageConfig
from voskit.configs.stages.xmem import SkipStageConfig, XMemStageConfig

__all__ = [
    "JointFormerStageConfig",
    "MainStageConfig",
    "OpenLarge",
    "OpenSmall",
    "ReferringStageConfig",
    "SkipStageConfig",
    "StageConfig",
    "XMemStageConfig",
    "get_stage_config",
    "list_stages",
    "register_stage",
]
