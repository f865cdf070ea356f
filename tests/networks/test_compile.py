"""``compile_network``: the same results, and the same names of tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model, compile_network


def test_a_compiled_network_gives_the_same() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (3, 64, 80, 3), dtype=np.uint8)
    mask = np.zeros((64, 80), np.uint8)
    mask[16:48, 16:48] = 1
    model = build_model("aott", device="cpu", embed_dim=32, ffn_dim=64, self_heads=2, attention_heads=2, window=5)

    def run(segmenter: VideoSegmenter) -> torch.Tensor:
        return torch.stack(
            [segmenter.step(f, mask if t == 0 else None, return_probs=True)[1] for t, f in enumerate(frames)]
        )

    plain = run(VideoSegmenter(model))
    segmenter = VideoSegmenter(model)
    network = segmenter._engines[0].network
    names = list(network.state_dict())
    compile_network(network, "aot_eager")  # traces all, but needs no compiler, and seconds instead of a minute
    counts = torch._dynamo.utils.counters
    counts.clear()
    assert torch.allclose(run(segmenter), plain, atol=1e-4)
    assert counts["stats"]["unique_graphs"] >= 3  # encoder, transformer, decoder
    assert list(network.state_dict()) == names


@pytest.mark.thorough
def test_a_network_names_the_calls_to_compile() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (3, 32, 48, 3), dtype=np.uint8)
    mask = np.zeros((32, 48), np.uint8)
    mask[8:24, 8:24] = 1
    model = build_model("jointformer", device="cpu", update_block_depth=1)
    names = list(model.state_dict())
    results = []
    for compiled in (False, True):
        segmenter = VideoSegmenter(model, short_edge=-1)
        if compiled:
            compile_network(segmenter._engines[0].network, "aot_eager")
            torch._dynamo.utils.counters.clear()
        for t, frame in enumerate(frames):
            probs = segmenter.step(frame, mask if t == 0 else None, return_probs=True)[1]
        results.append(probs)
    assert torch.allclose(*results, atol=1e-4)
    assert (
        torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 5
    )  # both kinds of blocks, three uses of one, decoder
    assert list(model.state_dict()) == names


def test_a_segmenter_compiles_its_network_on_request() -> None:
    model = build_model("aott", device="cpu", embed_dim=32, ffn_dim=64, self_heads=2, attention_heads=2, window=5)
    own = VideoSegmenter(model, compile=True, static_memory=False)._engines[0].network
    assert own.encoder._compiled_call_impl is not None and model.encoder._compiled_call_impl is None
    whole = VideoSegmenter(model, compile=True)._engines[0].network
    assert "propagate" in vars(whole) and "propagate" not in vars(model)
