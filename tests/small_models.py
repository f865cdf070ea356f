"""Narrow networks with identity banks, for tests of behavior rather than of published numbers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from voskit.configs import get_model_config
from voskit.networks import build_model, save_weights

SMALL = {"embed_dim": 32, "self_heads": 2, "attention_heads": 2, "ffn_dim": 64, "window": 5}


def small_fields(name: str) -> dict[str, int]:
    """Return the fields of ``SMALL`` that a model's config has."""
    known = get_model_config(name).field_types()
    return {field: value for field, value in SMALL.items() if field in known}


def build_small(name: str, **fields: object) -> nn.Module:
    """Build a narrow network of a model on the CPU."""
    return build_model(name, device="cpu", **{**small_fields(name), **fields})


def save_small_aost(folder: Path) -> Path:
    """Write random weights of AOST, the same ones each time."""
    torch.manual_seed(0)
    path = folder / "aost.safetensors"
    save_weights(build_small("aost"), path)
    return path
