"""``compile_network``: the same results, and the same names of tensors."""

from __future__ import annotations

import numpy as np
import torch

from evaluators import VideoSegmenter
from networks import build_model, compile_network


def test_a_compiled_network_gives_the_same() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (3, 64, 80, 3), dtype=np.uint8)
    mask = np.zeros((64, 80), np.uint8)
    mask[16:48, 16:48] = 1
    model = build_model("aott", device="cpu", embed_dim=32, ffn_dim=64, self_heads=2, attention_heads=2, window=5)
    names = list(model.state_dict())

    def run() -> torch.Tensor:
        segmenter = VideoSegmenter(model)
        return torch.stack(
            [segmenter.step(f, mask if t == 0 else None, return_probs=True)[1] for t, f in enumerate(frames)]
        )

    plain = run()
    compile_network(model, "aot_eager")  # traces all, but needs no compiler, and seconds instead of a minute
    assert torch.allclose(run(), plain, atol=1e-4)
    assert list(model.state_dict()) == names
