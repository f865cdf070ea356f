"""An AOST of three narrow layers for tests."""

from __future__ import annotations

from pathlib import Path

import torch

from voskit.networks import build_model, save_weights

SMALL = {"embed_dim": 32, "self_heads": 2, "attention_heads": 2, "ffn_dim": 64, "window": 5}


def save_small_aost(folder: Path) -> Path:
    """Write random weights, the same ones each time."""
    torch.manual_seed(0)
    path = folder / "aost.safetensors"
    save_weights(build_model("aost", device="cpu", **SMALL), path)
    return path
