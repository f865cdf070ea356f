"""Optimizer parameter groups: weight decay and learning-rate scale per parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voskit.networks.models.base import Network
from voskit.trainers.schedule import Schedule

NO_DECAY = ("absolute_pos_embed", "relative_position_bias_table", "relative_emb_v", "conv_out")
"""Parts of the names of parameters without weight decay. Parameters with one dimension have none, either."""


def parameter_groups(
    network: Network,
    weight_decay: float,
    encoder_ratio: float = 0.1,
    decay_all: bool = False,
    text_ratio: float = 1.0,
) -> list[dict[str, Any]]:
    """Return one group for each trained parameter.

    Groups have ``name``, ``params``, ``weight_decay`` and ``scale``, the factor of the learning rate.

    Args:
        network: the network.
        weight_decay: decay of the parameters that have any.
        encoder_ratio: learning rate of the encoder relative to the base rate.
        decay_all: apply weight decay to biases and norms, too.
        text_ratio: learning rate of the text encoder relative to the base rate.
    """
    groups = []
    prefix = network.encoder_prefix
    scales = {prefix: encoder_ratio, "text_encoder.": text_ratio}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        decayed = decay_all or (network.decay_encoder_norms and name.startswith(prefix) and name.endswith(".weight"))
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
    """Merge groups of equal weight decay and scale, since ``torch.optim`` spends time on each group.

    Args:
        groups: from :func:`parameter_groups`.
        frozen: parts of the names of parameters that will be frozen. These get groups of their own.

    Returns:
        groups with the ``names`` of all their ``params``; ``name`` is the first of them.
    """
    out: dict[tuple[Any, ...], dict[str, Any]] = {}
    for group in groups:
        key = (group["weight_decay"], group["scale"], any(part in group["name"] for part in frozen))
        whole = out.setdefault(key, {**group, "params": [], "names": []})
        whole["params"] += group["params"]
        whole["names"].append(group["name"])
    return list(out.values())


def regrouped(saved: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Move the moments of a saved optimizer state into the groups of the current optimizer.

    Checkpoints of earlier versions have one group for each parameter, without ``names``. All other values of a group
    follow from stage and step.

    Args:
        saved: ``state_dict`` of a checkpoint's optimizer.
        own: ``state_dict`` of the current optimizer, with the same parameters.
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
    """Set the learning rate of each group for a step. Groups whose name contains a ``frozen`` part get 0."""
    for group in groups:
        still = any(part in group["name"] for part in frozen)
        group["lr"] = 0.0 if still else schedule.lr(step, group["scale"])
        if still:
            group["weight_decay"] = 0.0
