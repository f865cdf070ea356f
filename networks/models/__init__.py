"""Networks by family. Adding one: enter the config class and the network's in ``FAMILIES``."""

from __future__ import annotations

from torch import nn

from voskit.configs import ModelConfig
from voskit.configs.models.aost import AOSTConfig
from voskit.configs.models.aot import AOTConfig
from voskit.configs.models.deaot import DeAOTConfig
from voskit.configs.models.jointformer import JointFormerConfig
from voskit.configs.models.referformer import ReferFormerConfig
from voskit.configs.models.xmem import XMemConfig
from voskit.networks.models.aost import AOST
from voskit.networks.models.aot import AOT
from voskit.networks.models.deaot import DeAOT
from voskit.networks.models.jointformer.network import JointFormer
from voskit.networks.models.referformer import ReferFormer
from voskit.networks.models.xmem import XMem

FAMILIES: dict[type[ModelConfig], type[nn.Module]] = {
    AOTConfig: AOT,
    DeAOTConfig: DeAOT,
    AOSTConfig: AOST,
    XMemConfig: XMem,
    JointFormerConfig: JointFormer,
    ReferFormerConfig: ReferFormer,
}


def build_network(config: ModelConfig) -> nn.Module:
    """Build the network that a config describes, with random weights."""
    for family in type(config).__mro__:
        if family in FAMILIES:
            return FAMILIES[family](config)
    raise ValueError(
        f"no network is known for {type(config).__name__}: enter its family in networks/models/__init__.py"
    )
