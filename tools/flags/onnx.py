"""Flags of ``voskit export --format onnx``."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voskit.configs import get_model_config

if TYPE_CHECKING:
    from voskit.tools.flags.export import ExportArgs

BUNDLED = Path(__file__).resolve().parents[2] / "datasets" / "Demo"
_CALIBRATION_FRAMES = 10
_STEP = 4


def check_flags(args: ExportArgs) -> tuple[tuple[int, int], dict[str, Any]]:
    """Return the size of the frames and the changed fields of the model's config.

    Raises:
        ValueError: a flag; the message names it.
    """
    from voskit.evaluators.onnx.export import check_exportable

    size = _height_and_width(args.size)
    if args.output_path.suffix in (".onnx", ".safetensors"):
        raise ValueError(f"--output_path {args.output_path}: give a folder, since an export has several files")
    if len(args.ckpt_path) > 1:
        raise ValueError(
            "--ckpt_path: --format onnx takes one checkpoint; average several into a safetensors file first"
        )
    changes = get_model_config(args.model).changes_from_text(*args.set)
    if "max_memory_frames" in changes:
        raise ValueError("--set max_memory_frames: use --memory_frames, the bound of an export's memory")
    if args.window is not None:
        changes["window"] = args.window
    config = get_model_config(args.model, **changes)
    if config.task != "referring" and args.window is not None:
        raise ValueError(f"--window: {args.model} sees one frame at a time: only ReferFormer has windows")
    if config.task == "referring" and args.precision != "fp32":
        raise ValueError(f"--precision {args.precision}: {args.model} is exported in fp32 only")
    for flag in ("objects", "memory_frames"):
        if config.task == "referring" and getattr(args, flag) != getattr(type(args), flag):
            raise ValueError(f"--{flag} is for models that propagate masks, but {args.model} takes text prompts")
    check_exportable(config, size, args.objects, args.memory_frames)
    return size, changes


def export_folder(args: ExportArgs) -> int:
    """Export a model as ONNX graphs and return the exit code."""
    from voskit.evaluators.onnx.export import export_onnx
    from voskit.networks import build_model
    from voskit.networks.weights import find_weights

    size, changes = check_flags(args)
    clip = calibration_clip(args) if args.precision == "int8" else None
    weights = args.ckpt_path[0] if args.ckpt_path else find_weights(args.model)
    manifest = export_onnx(
        build_model(args.model, checkpoint=weights, device="cpu", **changes),
        args.output_path,
        name=args.model,
        size=size,
        objects=args.objects,
        memory_frames=args.memory_frames,
        license_text=_license_of(weights),
    )
    if args.precision != "fp32":
        from voskit.evaluators.onnx.precision import convert_to_fp16, quantize

        if clip is None:
            convert_to_fp16(args.output_path)
        else:
            quantize(args.output_path, *clip)
    total = sum(path.stat().st_size for path in args.output_path.glob("*.onnx"))
    print(f"{manifest}: {total / 1e6:.1f} MB of graphs")
    return 0


def _height_and_width(text: str) -> tuple[int, int]:
    """Read a size such as ``480x864``."""
    found = re.fullmatch(r"(\d+)[x*](\d+)", text.strip().lower())
    if found is None:
        raise ValueError(f"--size {text!r}: give height and width in pixels, such as 480x864")
    return int(found[1]), int(found[2])


def _license_of(weights: Path) -> str:
    """Return the license stated on the page next to a weights file."""
    page = weights.with_suffix(".md")
    found = re.search(r"^\| License \| (.+) \|$", page.read_text(encoding="utf-8"), re.M) if page.is_file() else None
    return found[1] if found else "that of the weights"


def calibration_clip(args: ExportArgs) -> tuple[list[np.ndarray], np.ndarray]:
    """Read the frames and the mask on which 8-bit ranges are measured."""
    from voskit.dataloaders.masks.files import read_mask
    from voskit.dataloaders.video.frames import open_frames

    clip = args.calibration or BUNDLED / "images" / "bunny.mp4"
    mask = args.calibration_mask or BUNDLED / "masks" / "bunny" / "00000.png"
    with open_frames(str(clip)) as frames:
        images = [frame.image for frame in islice(frames, _CALIBRATION_FRAMES * _STEP)]
    images = images[:: max(1, len(images) // _CALIBRATION_FRAMES)][:_CALIBRATION_FRAMES]
    if len(images) < 2:
        raise ValueError(f"--calibration {clip}: int8 calibration needs at least two frames")
    height, width = images[0].shape[:2]
    ids = read_mask(mask, size=(height, width))
    if not ids.any():
        raise ValueError(f"--calibration_mask {mask}: the mask has no object")
    kept = np.unique(ids[ids > 0])[: args.objects]  # the export may hold fewer than the mask has
    return images, np.where(np.isin(ids, kept), ids, 0)
