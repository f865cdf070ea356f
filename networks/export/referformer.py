"""Graph of ReferFormer: ``window``, from the frames of a window and a text prompt to the candidates.

Shapes: T frames, L tokens, H W the input size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from voskit.networks.export.graphs import FRAMES, TOKENS, Calls, Graph
from voskit.networks.models.referformer import ReferFormer


def referformer_graphs(network: ReferFormer, size: tuple[int, int]) -> dict[str, Graph]:
    """Return the graph of a network at one input size, by its name.

    ``window``: normalized frames, tokens -> logits of the scores [T, candidates, classes], logits of the masks at
    stride 4 [T, candidates, h, w], and boxes [T, candidates, 4]. Numbers of frames and tokens may vary, with Video Swin
    up to ``temporal_window`` frames.

    Args:
        network: folded, in evaluation mode.
        size: height and width of the input.
    """

    def window(frames_1T3HW: Tensor, tokens_1L: Tensor) -> tuple[Tensor, ...]:
        found = network.find(network.encode_image(frames_1T3HW), network.encode_text(tokens_1L))
        return network.score(found)[0], network.masks(found)[0], network.boxes(found)[0]

    inputs = {"frames": torch.zeros(1, 3, 3, *size), "tokens": torch.tensor([[0, 102, 2335, 2]])}
    axes = {"frames": {1: FRAMES}, "tokens": {1: TOKENS}}
    most = {} if (longest := network.encoder.temporal_window) is None else {FRAMES: longest}
    return {"window": Graph(Calls(network, window), inputs, ["scores", "masks", "boxes"], axes, most=most)}
