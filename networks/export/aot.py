"""Graphs of AOT, DeAOT and AOST: ``encode``, ``propagate`` (with the decoder), ``remember`` and ``refer``.

Shapes: G id groups, L positions of a frame, M positions in memory, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from voskit.networks.export.graphs import GROUPS, POSITIONS, Calls, Graph, least_frames, named, split
from voskit.networks.layers.memory_part import MaskedPart, MemoryPart
from voskit.networks.models.aot import AOT, Features

_MAPS = ["map4", "map8", "map16", "projected"]


def aot_graphs(network: AOT, size: tuple[int, int], frames: int) -> dict[str, Graph]:
    """Return the graphs of a network at one input size, by their names.

    - ``encode``: image -> maps and the projected map.
    - ``propagate``: maps, long-term memory of each layer with a mask of its valid positions, short-term memory of each
      layer -> logits, and the states of the layers.
    - ``remember``: labels and states -> key and value of each layer.
    - ``refer``: labels and the projected map of a frame whose mask is given -> key and value of each layer.

    Args:
        network: folded, in evaluation mode. If ``top_k`` is more than the memory can hold, it is switched off.
        size: height and width of the input.
        frames: maximum number of frames in the long-term memory.
    """
    calls = _Calls(network)
    image = torch.zeros(1, 3, *size)
    encode = Graph(Calls(network, calls.encode), {"image": image}, _MAPS)
    features = encode.run()
    positions = features["projected"].shape[2] * features["projected"].shape[3]
    top_k = network.config.top_k
    if top_k is not None and top_k >= frames * positions:
        for layer in network.layers:
            layer.long_term_attn.top_k = None
        top_k = None
    labels = torch.zeros(2, *size, dtype=torch.int32)
    grouped = {"labels": {0: GROUPS}}
    memory_names = [name for i in range(calls.layers) for name in (f"key_{i}", f"value_{i}")]
    refer = Graph(
        Calls(network, calls.refer), {"labels": labels, "projected": features["projected"]}, memory_names, grouped
    )
    memory = {name: x.expand(2, -1, -1).contiguous() for name, x in refer.run().items()}
    read = max(2, least_frames(top_k, positions)) if frames > 1 else 1
    long_term = {f"long_{name}": x.repeat(1, read, 1) for name, x in memory.items()}
    valid = torch.ones(2, read * positions, dtype=torch.bool)
    short_term = {f"short_{name}": x for name, x in memory.items()}
    axes = {
        **{name: {0: GROUPS, 1: POSITIONS} if frames > 1 else {0: GROUPS} for name in (*long_term, "valid")},
        **{name: {0: GROUPS} for name in short_term},
    }
    states = calls.state_names()
    propagate = Graph(
        Calls(network, calls.propagate),
        {**features, **long_term, "valid": valid, **short_term},
        ["logits", *states],
        axes,
        {POSITIONS: least_frames(top_k, positions) * positions},
    )
    found = propagate.run()
    remember = Graph(
        Calls(network, calls.remember),
        {"labels": labels, **{name: found[name] for name in states}},
        memory_names,
        {**grouped, **{name: {0: GROUPS} for name in states if len(found[name]) > 1}},
    )
    return {"encode": encode, "propagate": propagate, "remember": remember, "refer": refer}


class _Calls:
    """The network's functions with flat inputs and outputs."""

    def __init__(self, network: AOT) -> None:
        self.network = network
        self.layers = len(list(network.layers))
        self._states = self._entries()

    def _entries(self) -> list[int]:
        """Return the number of tensors in the state of each layer."""
        from voskit.networks.models.deaot import GatedPropagationModule

        gated = [isinstance(layer, GatedPropagationModule) for layer in self.network.layers]
        return [3 if i and own else 2 for i, own in enumerate(gated)]

    def state_names(self) -> list[str]:
        """Return the names of the states' tensors."""
        return [name for i, count in enumerate(self._states) for name in named(f"state_{i}", count)]

    def encode(self, image_13HW: Tensor) -> tuple[Tensor, ...]:
        features = self.network.encode_image(image_13HW)
        return (*features.maps[:3], features.projected)

    def propagate(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        memory = 2 * self.layers
        maps, (projected,), long_term, (valid,), short_term = split(inputs, [3, 1, memory, 1, memory])
        features = Features(list(maps), projected)
        read: Any = [[MaskedPart(k, v, valid)] for k, v in zip(long_term[::2], long_term[1::2], strict=True)]
        short = [MemoryPart(k, v) for k, v in zip(short_term[::2], short_term[1::2], strict=True)]
        propagated = self.network.propagate(features, read, short)
        states = [x for state in propagated.states for x in state]
        return (self.network.decode(propagated, features), *states)

    def remember(self, labels_GHW: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        ids = self.network.encode_ids(labels_GHW)
        memory = self.network.remember(split(states, self._states), ids)
        return tuple(x for part in memory for x in part)

    def refer(self, labels_GHW: Tensor, projected: Tensor) -> tuple[Tensor, ...]:
        ids = self.network.encode_ids(labels_GHW)
        memory = self.network.remember(self.network.refer(Features([], projected), ids).states, ids)
        return tuple(x for part in memory for x in part)
