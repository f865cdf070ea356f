"""Graphs of XMem: ``encode``, ``propagate`` (with the decoder) and ``remember``.

Shapes: K objects, L positions of a frame, M positions in memory, C channels, H W the input size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from voskit.networks.export.graphs import OBJECTS, POSITIONS, Calls, Graph, least_frames
from voskit.networks.layers.maps import to_map, to_sequence
from voskit.networks.models.xmem import ImageFeatures, XMem
from voskit.networks.ops.affinity import anisotropic_similarity
from voskit.networks.ops.exported_attention import shared_sums_of_chosen


def xmem_graphs(network: XMem, size: tuple[int, int], frames: int, top_k: int) -> dict[str, Graph]:
    """Return the graphs of a network at one input size, by their names.

    - ``encode``: image -> maps, and key, shrinkage and selection as sequences.
    - ``propagate``: the frame, the memory with a mask of its valid positions, the sensory memory -> logits of each
      object on its own, and the updated sensory memory.
    - ``remember``: the frame, probabilities of the objects, the sensory memory -> values, and the sensory memory after
      a deep update.

    Args:
        network: folded, in evaluation mode.
        size: height and width of the input, multiples of 16.
        frames: maximum number of frames in memory.
        top_k: number of memory elements that each position reads.
    """
    calls = _Calls(network, size, top_k)
    image = torch.zeros(1, 3, *size)
    encode = Graph(
        Calls(network, calls.encode), {"image": image}, ["map4", "map8", "map16", "key", "shrinkage", "selection"]
    )
    found = encode.run()
    positions = found["key"].shape[1]
    calls.top_k = None if top_k >= frames * positions else top_k
    hidden = torch.zeros(2, network.config.hidden_dim, size[0] // 16, size[1] // 16)
    has_hidden = bool(network.config.hidden_dim)
    state, new_state = ({"hidden": hidden}, ["new_hidden"]) if has_hidden else ({}, [])
    by_object = {name: {0: OBJECTS} for name in state}
    remember = Graph(
        Calls(network, calls.remember),
        {"image": image, "map16": found["map16"], "masks": torch.zeros(2, *size), **state},
        ["value", *new_state],
        {"masks": {0: OBJECTS}, **by_object},
    )
    read = max(2, least_frames(top_k, positions)) if frames > 1 else 1
    memory = {
        "memory_key": found["key"].repeat(1, read, 1),
        "memory_shrinkage": found["shrinkage"].repeat(1, read, 1),
        "memory_value": remember.run()["value"].repeat(1, read, 1),
        "valid": torch.ones(1, read * positions, dtype=torch.bool),
    }
    axes: dict[str, dict[int, str]] = {name: {1: POSITIONS} if frames > 1 else {} for name in memory}
    axes["memory_value"][0] = OBJECTS
    frame = {name: found[name] for name in ("map4", "map8", "map16", "key", "selection")}
    propagate = Graph(
        Calls(network, calls.propagate),
        {**frame, **memory, **state},
        ["logits", *new_state],
        {**axes, **by_object},
        {POSITIONS: least_frames(calls.top_k, positions) * positions},
    )
    return {"encode": encode, "propagate": propagate, "remember": remember}


class _Calls:
    """The network's functions with flat inputs and outputs."""

    def __init__(self, network: XMem, size: tuple[int, int], top_k: int) -> None:
        self.network = network
        self.size = (size[0] // 16, size[1] // 16)
        self.top_k: int | None = top_k

    def encode(self, image_13HW: Tensor) -> tuple[Tensor, ...]:
        features = self.network.encode_image(image_13HW)
        return (*features.maps, *(to_sequence(x) for x in features[1:]))

    def propagate(
        self,
        map4: Tensor,
        map8: Tensor,
        map16: Tensor,
        key_1LC: Tensor,
        selection_1LC: Tensor,
        memory_key_1MC: Tensor,
        memory_shrinkage_1M1: Tensor,
        memory_value_KMC: Tensor,
        valid_1M: Tensor,
        hidden_KCHW: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        scores = anisotropic_similarity(memory_key_1MC, memory_shrinkage_1M1, key_1LC, selection_1LC)
        scores = scores.masked_fill(~valid_1M[:, None], -torch.inf)
        if self.top_k is None:
            read = scores.softmax(2) @ memory_value_KMC
        else:
            best, places = scores.topk(self.top_k, sorted=False)
            read = shared_sums_of_chosen(best.softmax(2)[0], places[0], memory_value_KMC)
        maps = ImageFeatures([map4, map8, map16], key_1LC, memory_shrinkage_1M1, selection_1LC)
        logits, hidden = self.network.decode(maps, to_map(read, self.size), hidden_KCHW, True)
        return (logits,) if hidden is None else (logits, hidden)

    def remember(
        self, image_13HW: Tensor, map16: Tensor, masks_KHW: Tensor, hidden_KCHW: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        features = ImageFeatures([map16, map16, map16], map16, map16, map16)
        value, hidden = self.network.encode_value(image_13HW, features, masks_KHW, hidden_KCHW, True)
        sequence = to_sequence(value)
        return (sequence,) if hidden is None else (sequence, hidden)
