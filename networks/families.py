"""Registry of model families: the network and the engine of each family, imported on demand."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voskit.configs import ModelConfig, Registry

if TYPE_CHECKING:
    from voskit.networks.engines.protocol import Engine
    from voskit.networks.memory.policies import MemoryPolicy
    from voskit.networks.models.base import Network


@dataclass(frozen=True)
class Family:
    """Classes of one family, each given as a class or its import path ``"package.module:Class"``."""

    network: Callable[..., Network] | str
    """Network class, which is called with a config."""
    engine: Callable[..., Engine] | str | None = None
    """Engine class, which is called with network, config and memory policy (or None). None: the family doesn't
    propagate masks."""
    static_engine: Callable[..., Engine] | str | None = None
    """Like ``engine``, for memory of a fixed size. None: the family doesn't support it."""
    marker: str = ""
    """Prefix of the name of a tensor that every network of the family has. Files without such a tensor aren't compared
    with the family's models."""


FAMILIES: Registry[Family] = Registry("model family")
"""Families by the ``family`` of their configs, which models inherit with their config class."""

_STATIC = "voskit.networks.engines.static.aot:StaticAOTEngine"
_IDENTITIES = "patch_wise_id_bank."
FAMILIES.register("aot")(
    Family("voskit.networks.models.aot:AOT", "voskit.networks.engines.aot:AOTEngine", _STATIC, _IDENTITIES)
)
FAMILIES.register("deaot")(
    Family("voskit.networks.models.deaot:DeAOT", "voskit.networks.engines.aot:AOTEngine", _STATIC, _IDENTITIES)
)
FAMILIES.register("aost")(
    Family("voskit.networks.models.aost:AOST", "voskit.networks.engines.aost:AOSTEngine", _STATIC, _IDENTITIES)
)
FAMILIES.register("xmem")(
    Family(
        "voskit.networks.models.xmem:XMem",
        "voskit.networks.engines.xmem:XMemEngine",
        "voskit.networks.engines.static.xmem:StaticXMemEngine",
        "key_encoder.",
    )
)
FAMILIES.register("jointformer")(
    Family(
        "voskit.networks.models.jointformer.network:JointFormer",
        "voskit.networks.engines.jointformer:JointFormerEngine",
        "voskit.networks.engines.static.jointformer:StaticJointFormerEngine",
        "convmae.",
    )
)
FAMILIES.register("referformer")(Family("voskit.networks.models.referformer:ReferFormer", marker="text_encoder."))


def build_network(config: ModelConfig) -> Network:
    """Build the network that a config describes, with random weights.

    Raises:
        ValueError: the config has no family, or an unknown one; similar names are suggested.
    """
    return _resolve(_family(config).network)(config)


def could_hold(config: ModelConfig, names: Iterable[str]) -> bool:
    """Return False if a file with tensors of these names certainly belongs to another family."""
    return any(name.startswith(_family(config).marker) for name in names)


def can_be_static(config: ModelConfig, policy: MemoryPolicy | None = None) -> bool:
    """Return True if the memory can have a fixed size: it holds whole frames, chosen by frame number only."""
    if any(getattr(policy, what, False) for what in ("needs_quality", "needs_usage", "configure")):
        return False
    changing = any(getattr(config, name, False) for name in ("enable_long_term", "merge_old_memory"))
    return _family(config).static_engine is not None and not changing


def new_engine(
    network: Network, config: ModelConfig | None = None, policy: MemoryPolicy | None = None, static: bool = False
) -> Engine:
    """Create the engine for one video.

    Args:
        network: a network that propagates masks.
        config: config with the engine's inference fields. Default: the network's config.
        policy: memory policy, which selects the frames to keep. Default: the rule set by the config.
        static: keep the memory in tensors of a fixed size.

    Raises:
        ValueError: the family has no engine, or the memory can't follow a policy or have a fixed size.
    """
    config = network.config if config is None else config
    family = _family(config)
    engine = family.static_engine if static else family.engine
    if engine is None and static:
        raise ValueError(f"static_memory: {type(config).__name__} has no memory of a fixed size")
    if engine is None:
        raise ValueError(f"{type(config).__name__} has no engine: its family doesn't propagate masks")
    if (configure := getattr(policy, "configure", None)) is not None:
        config, policy = configure(config), None
    return _resolve(engine)(network, config, policy)


def _family(config: ModelConfig) -> Family:
    if not config.family:
        raise ValueError(
            f"{type(config).__name__} has no family: set its class attribute 'family' to a registered name"
        )
    return FAMILIES.get(config.family)


def _resolve(address: Callable[..., Any] | str) -> Callable[..., Any]:
    if not isinstance(address, str):
        return address
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)
