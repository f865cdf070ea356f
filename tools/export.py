"""Export a checkpoint, or the mean of several, as a small safetensors file, ONNX graphs or a web page.

    voskit export --model deaott --ckpt_path results/a_DeAOTT/PRE/ema.safetensors --output_path a.safetensors
    voskit export --model deaott --ckpt_path A B --shares 3 1 --output_path mean.safetensors
    voskit export --format onnx --model deaott --size 480x864 --objects 10 --memory_frames 8 --output_path exported
    voskit export --format onnx --model r50_referformer --size 480x864 --window 8 --output_path exported
    voskit export --format web --model deaott --output_path page

A safetensors file contains the weights, in half precision by default, and the model's config with the changes made by
``--set``. ``build_model`` and ``--ckpt_path`` of every command load it and apply that config. A folder of ONNX graphs
runs without PyTorch: ``voskit.runtime.OnnxSegmenter(folder)``, or ``OnnxReferringSegmenter(folder)`` for text prompts.
A web page runs the graphs in the browser.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/export.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["export", *sys.argv[1:]]))

from voskit.configs import get_model_config
from voskit.tools.command import run_tool
from voskit.tools.flags.export import ExportArgs

logger = logging.getLogger("export")


def run(args: ExportArgs) -> int:
    """Write the export and return the exit code."""
    args.check()
    if args.format != "safetensors":
        from voskit.tools.flags import onnx, web

        return onnx.export_folder(args) if args.format == "onnx" else web.export_page(args)
    from voskit.networks import build_model, mean_of_weights, save_weights
    from voskit.networks.inference import AMP_TYPES
    from voskit.networks.models.aot import AOT

    changes = get_model_config(args.model).changes_from_text(*args.set)
    networks = [build_model(args.model, checkpoint=path, device="cpu", **changes) for path in args.ckpt_path]
    network = networks[0]
    kept = network.config.to_dict()
    others = [net.config.to_dict() for net in networks[1:]]
    if mixed := [name for name, value in kept.items() if any(other[name] != value for other in others)]:
        settings = ", ".join(f"{name}={kept[name]}" for name in mixed)
        logger.warning("the checkpoints have different settings; those of %s are kept: %s", args.ckpt_path[0], settings)
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
    return run_tool(run, ExportArgs, __doc__)
