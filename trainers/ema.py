"""Exponential moving average (EMA) of weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class AveragedWeights:
    """Exponential moving average of a network's parameters. Buffers are copied.

    The decay rises with the number of updates n as (1 + n) / (10 + n), up to 1 - 1 / (ratio * total_steps).

    Args:
        network: the network, whose current values are the initial average.
        total_steps: steps of the stage.
        ratio: time constant of the average as a fraction of the stage. Below one step, the average is the last state.
    """

    def __init__(self, network: nn.Module, total_steps: int, ratio: float = 0.1) -> None:
        self.final_decay = 1.0 - 1.0 / max(1.0, ratio * total_steps)
        self.updates = 0
        self.weights = {name: x.detach().clone() for name, x in network.state_dict().items()}

    def decay(self, update: int) -> float:
        """Return the decay of an update, counted from 1."""
        return min(self.final_decay, (1 + update) / (10 + update))

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Update the average with the current values of the network."""
        self.updates += 1
        decay = self.decay(self.updates)
        state = network.state_dict()
        learned = [name for name, x in network.named_parameters() if x.is_floating_point()]
        get_ema_multi_avg_fn(decay)([self.weights[name] for name in learned], [state[name] for name in learned], None)
        for name in state.keys() - set(learned):
            self.weights[name].copy_(state[name])

    def state_dict(self) -> dict[str, object]:
        """Return the state that resuming needs."""
        return {"updates": self.updates, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Restore a state from ``state_dict``."""
        updates, weights = state["updates"], state["weights"]
        assert isinstance(updates, int) and isinstance(weights, Mapping)
        self.updates = updates
        for name, x in weights.items():
            assert isinstance(x, Tensor)
            self.weights[name].copy_(x)
