"""What weight decay and share of the learning rate each parameter has, and optimiser groups of those that are alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from voskit.trainers.schedule import Schedule

NO_DECAY = ("absolute_pos_embed", "relative_position_bias_table", "relative_emb_v", "conv_out")
"""Parts of names of parameters that have no weight decay, besides all that have one dimension."""


def parameter_groups(
    network: nn.Module,
    weight_decay: float,
    encoder_ratio: float = 0.1,
    decay_all: bool = False,
    text_ratio: float = 1.0,
) -> list[dict[str, Any]]:
    """A group for each parameter: ``name``, ``params``, ``weight_decay`` and ``scale`` (of the learning rate)."""
    groups = []
    decay_norms = getattr(network.config, "decay_encoder_norms", False)
    prefix = getattr(network, "encoder_prefix", "encoder.")
    scales = {prefix: encoder_ratio, "text_encoder.": text_ratio}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        decayed = decay_all or (decay_norms and name.startswith(prefix) and name.endswith(".weight"))
        exempt = (parameter.ndim == 1 and not decayed) or (not decay_all and any(part in name for part in NO_DECAY))
        groups.append(
            {
                "name": name,
                "params": [parameter],
                "weight_decay": 0.0 if exempt else weight_decay,
                "scale": next((ratio for start, ratio in scales.items() if name.startswith(start)), 1.0),
            }
        )
    return groups


def merged(groups: Sequence[dict[str, Any]], frozen: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Few groups for ``torch.optim``, which spends time on each: those of one decay and one scale together.

    Parameters that will be ``frozen`` (parts of names) and others stay apart, so that ``name``, the first one's, says
    which they are. ``names`` are those of ``params``.
    """
    out: dict[tuple[Any, ...], dict[str, Any]] = {}
    for group in groups:
        key = (group["weight_decay"], group["scale"], any(part in group["name"] for part in frozen))
        whole = out.setdefault(key, {**group, "params": [], "names": []})
        whole["params"] += group["params"]
        whole["names"].append(group["name"])
    return list(out.values())


def regrouped(saved: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """What an optimiser's saved state knows of parameters, in the groups of another one of the same parameters.

    Older files have a group for each parameter, and no ``names``. All else of a group follows from stage and step.
    """
    saved_places: dict[str, int] = {}
    moments: dict[int, Any] = {}
    for group in saved["param_groups"]:
        saved_places.update(zip(group.get("names", [group["name"]]), group["params"], strict=True))
    for group in own["param_groups"]:
        for name, place in zip(group["names"], group["params"], strict=True):
            if saved_places[name] in saved["state"]:
                moments[place] = saved["state"][saved_places[name]]
    return {**own, "state": moments}


def set_rates(groups: list[dict[str, Any]], schedule: Schedule, step: int, frozen: tuple[str, ...] = ()) -> None:
    """Set the rate of each group for a step; parameters whose names contain a ``frozen`` part stand still."""
    for group in groups:
        still = any(part in group["name"] for part in frozen)
        group["lr"] = 0.0 if still else schedule.lr(step, group["scale"])
        if still:
            group["weight_decay"] = 0.0
