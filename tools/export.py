"""Write a checkpoint, or the mean of several, as one small safetensors file.

    voskit export --model deaott --ckpt_path results/a_DeAOTT/PRE/ema.safetensors --output_path a.safetensors
    voskit export --model deaott --ckpt_path A B --shares 3 1 --output_path mean.safetensors

The file holds the weights, in half precision by default, and the model's config with the changes of ``--set``.
``build_model`` and ``--ckpt_path`` of every command load it and apply that config.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/export.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["export", *sys.argv[1:]]))

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from voskit.configs import get_model_config
from voskit.tools.command import run_tool


@dataclass(frozen=True, kw_only=True)
class Args:
    """Write a checkpoint as one small safetensors file."""

    model: str
    """Model of the zoo."""
    ckpt_path: tuple[Path, ...]
    """Checkpoint of the authors or of voskit train. Several checkpoints are averaged."""
    output_path: Path
    """File to write, *.safetensors."""
    shares: tuple[float, ...] = ()
    """Weight of each checkpoint in the average, such as 3 1. Default: equal weights."""
    dtype: Literal["fp16", "bf16", "fp32"] = "fp16"
    """Data type of the weights in the file."""
    identities: tuple[int, ...] = ()
    """Identities of the identity bank to keep, such as 1 4 5 (AOT, DeAOT, AOST). Default: all."""
    extend_identities: int | None = None
    """Extend the identity bank to this many identities (AOT, DeAOT, AOST). The new ones have to be trained."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the model's config to change."""


def run(args: Args) -> int:
    """Write the file and return the exit code."""
    if args.output_path.suffix != ".safetensors":
        raise ValueError(f"--output_path {args.output_path}: the name must end in .safetensors")
    if not args.ckpt_path:
        raise ValueError("--ckpt_path: name at least one checkpoint")
    from voskit.networks import build_model, mean_of_weights, save_weights
    from voskit.networks.inference import AMP_TYPES
    from voskit.networks.models.aot import AOT

    changes = get_model_config(args.model).changes_from_text(*args.set)
    networks = [build_model(args.model, checkpoint=path, device="cpu", **changes) for path in args.ckpt_path]
    network = networks[0]
    network.load_state_dict(mean_of_weights(networks, args.shares or (1.0,) * len(networks)))
    if args.identities or args.extend_identities is not None:
        if not isinstance(network, AOT):
            raise ValueError(f"--identities, --extend_identities: {args.model} has no identity bank")
        if args.identities:
            network.keep_identities(args.identities)
        if args.extend_identities is not None:
            network.extend_identities(args.extend_identities)
    args.output_path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(network, args.output_path, AMP_TYPES.get(args.dtype))
    print(f"{args.output_path}: {args.output_path.stat().st_size / 1e6:.1f} MB")
    return 0


def main() -> int:
    """Parse the flags and export."""
    return run_tool(run, Args, __doc__)
