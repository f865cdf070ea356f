"""Registry of model families: the network and the engine of each config class, imported when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voskit.configs import ModelConfig
from voskit.configs.models.aost import AOSTConfig
from voskit.configs.models.aot import AOTConfig
from voskit.configs.models.deaot import DeAOTConfig
from voskit.configs.models.jointformer import JointFormerConfig
from voskit.configs.models.referformer import ReferFormerConfig
from voskit.configs.models.xmem import XMemConfig

if TYPE_CHECKING:
    from voskit.networks.engines.protocol import Engine
    from voskit.networks.memory.policies import MemoryPolicy
    from voskit.networks.models.base import Network


@dataclass(frozen=True)
class Family:
    """Classes of one family, each a class or its address ``"package.module:Class"``."""

    network: Callable[..., Network] | str
    """Built from a config."""
    engine: Callable[..., Engine] | str | None = None
    """Built from network, config and memory policy (or None); None: the family propagates no masks."""


# Keyed by config class and not by name, as a Registry is: a model's family follows from the bases of its config class,
# and a subclass may replace the family of its base.
FAMILIES: dict[type[ModelConfig], Family] = {
    AOTConfig: Family("voskit.networks.models.aot:AOT", "voskit.networks.engines.aot:AOTEngine"),
    DeAOTConfig: Family("voskit.networks.models.deaot:DeAOT", "voskit.networks.engines.aot:AOTEngine"),
    AOSTConfig: Family("voskit.networks.models.aost:AOST", "voskit.networks.engines.aost:AOSTEngine"),
    XMemConfig: Family("voskit.networks.models.xmem:XMem", "voskit.networks.engines.xmem:XMemEngine"),
    JointFormerConfig: Family(
        "voskit.networks.models.jointformer.network:JointFormer",
        "voskit.networks.engines.jointformer:JointFormerEngine",
    ),
    ReferFormerConfig: Family("voskit.networks.models.referformer:ReferFormer"),
}


def build_network(config: ModelConfig) -> Network:
    """Build the network that a config describes, with random weights.

    Raises:
        ValueError: no family is registered for the config's class or one of its bases.
    """
    return _resolve(_family(config).network)(config)


def new_engine(network: Network, config: ModelConfig | None = None, policy: MemoryPolicy | None = None) -> Engine:
    """Create the engine for one video.

    Args:
        network: a network that propagates masks.
        config: config whose inference fields the engine follows. Default: the network's own.
        policy: which frames the memory keeps. Default: the rule that the config describes.

    Raises:
        ValueError: the family has no engine, or the memory can't follow a policy.
    """
    config = network.config if config is None else config
    engine = _family(config).engine
    if engine is None:
        raise ValueError(f"{type(config).__name__} has no engine: its family doesn't propagate masks")
    return _resolve(engine)(network, config, policy)


def _family(config: ModelConfig) -> Family:
    for base in type(config).__mro__:
        if base in FAMILIES:
            return FAMILIES[base]
    name = type(config).__name__
    raise ValueError(f"no network is registered for {name}: add it to FAMILIES of voskit.networks.families")


def _resolve(address: Callable[..., Any] | str) -> Callable[..., Any]:
    if not isinstance(address, str):
        return address
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)
