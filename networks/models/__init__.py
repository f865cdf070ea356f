"""Networks by family. Adding one: enter the config class and the network's in ``FAMILIES``."""

from __future__ import annotations

from torch import nn

from configs import ModelConfig
from configs.models.aost import AOST as AOSTConfig
from configs.models.aot import AOT as AOTConfig
from configs.models.deaot import DeAOT as DeAOTConfig
from configs.models.jointformer import JointFormerFamily
from configs.models.referformer import ReferFormerFamily
from configs.models.xmem import XMemFamily
from networks.models.aost import AOST
from networks.models.aot import AOT
from networks.models.deaot import DeAOT
from networks.models.jointformer import JointFormer
from networks.models.referformer import ReferFormer
from networks.models.xmem import XMem

FAMILIES: dict[type[ModelConfig], type[nn.Module]] = {
    AOTConfig: AOT,
    DeAOTConfig: DeAOT,
    AOSTConfig: AOST,
    XMemFamily: XMem,
    JointFormerFamily: JointFormer,
    ReferFormerFamily: ReferFormer,
}


def build_network(config: ModelConfig) -> nn.Module:
    """Build the network that a config describes, with random weights."""
    for family in type(config).__mro__:
        if family in FAMILIES:
            return FAMILIES[family](config)
    raise ValueError(
        f"no network is known for {type(config).__name__}: enter its family in networks/models/__init__.py"
    )
