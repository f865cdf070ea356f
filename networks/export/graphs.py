"""Description of an exported graph: a module between named tensors, with examples of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from voskit.networks.models.base import Network

GROUPS, POSITIONS, OBJECTS = "groups", "positions", "objects"
"""Names of axes whose length may change: id groups, positions in memory, and objects."""
FRAMES, TOKENS = "frames", "tokens"
"""Likewise: frames of a window, and tokens of a text prompt."""


class Calls(nn.Module):
    """A function of a network as a module, which holds the weights.

    Args:
        network: holds the weights.
        function: called with the inputs; returns a tuple of tensors.
    """

    def __init__(self, network: Network, function: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.network = network
        self.function = function

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.function(*inputs)


@dataclass(frozen=True)
class Graph:
    """A module to export."""

    module: Calls
    inputs: dict[str, Tensor]
    """An example of each input by its name. Axes of variable length have 2 entries or more."""
    outputs: list[str]
    """Names of the outputs."""
    axes: dict[str, dict[int, str]] = field(default_factory=dict)
    """For each input that has any, its axes of variable length with the name of the length."""
    least: dict[str, int] = field(default_factory=dict)
    """Minimum values of the lengths. Default: 1."""
    most: dict[str, int] = field(default_factory=dict)
    """Maximum values of the lengths. Default: unlimited."""

    @torch.no_grad()
    def run(self) -> dict[str, Tensor]:
        """Return the outputs for the examples, by their names."""
        return dict(zip(self.outputs, self.module(*self.inputs.values()), strict=True))


def least_frames(top_k: int | None, positions: int) -> int:
    """Return the minimum number of memory frames that contain ``top_k`` positions."""
    return 1 if top_k is None else -(-top_k // positions)


def named(prefix: str, count: int) -> list[str]:
    """Return numbered names, ``prefix_0`` and so on."""
    return [f"{prefix}_{i}" for i in range(count)]


def split(values: Sequence[Tensor], counts: Sequence[int]) -> list[tuple[Tensor, ...]]:
    """Split a flat sequence of tensors into parts of these lengths."""
    parts, first = [], 0
    for count in counts:
        parts.append(tuple(values[first : first + count]))
        first += count
    return parts
