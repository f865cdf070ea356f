"""One optimiser group for each parameter, with its own weight decay and share of the learning rate."""

from __future__ import annotations

from typing import Any

from torch import nn

from trainers.schedule import Schedule

NO_DECAY = ("absolute_pos_embed", "relative_position_bias_table", "relative_emb_v", "conv_out")
"""Parts of names of parameters that have no weight decay, besides all that have one dimension."""


def parameter_groups(
    network: nn.Module,
    weight_decay: float,
    encoder_ratio: float = 0.1,
    decay_all: bool = False,
    text_ratio: float = 1.0,
) -> list[dict[str, Any]]:
    """Groups for ``torch.optim``: ``name``, ``params``, ``weight_decay`` and ``scale`` (of the learning rate)."""
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


def set_rates(groups: list[dict[str, Any]], schedule: Schedule, step: int, frozen: tuple[str, ...] = ()) -> None:
    """Set the rate of each group for a step; parameters whose names contain a ``frozen`` part stand still."""
    for group in groups:
        still = any(part in group["name"] for part in frozen)
        group["lr"] = 0.0 if still else schedule.rate(step, group["scale"])
        if still:
            group["weight_decay"] = 0.0
