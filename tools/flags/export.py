"""Flags of ``voskit export``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from voskit.dataloaders.files import check_output_folder


@dataclass(frozen=True, kw_only=True)
class ExportArgs:
    """Write a checkpoint as one small safetensors file, as ONNX graphs, or as a web page."""

    model: str
    """Model of the zoo."""
    ckpt_path: tuple[Path, ...] = ()
    """Checkpoint of the authors or of voskit train. Several checkpoints are averaged. Default with --format onnx
    and web: the published weights."""
    output_path: Path
    """File to write, *.safetensors; with --format onnx and web a folder."""
    format: Literal["safetensors", "onnx", "web"] = "safetensors"
    """safetensors: weights for voskit. onnx: graphs for voskit.runtime and other programs (not JointFormer).
    web: the graphs with a page that runs them in the browser (AOT, DeAOT, AOST)."""
    onnxruntime_web: Path | None = None
    """Installed npm package onnxruntime-web, or its dist (web). Default: the one in node_modules of this folder or
    of one above it; otherwise it is fetched with npm."""
    size: str = "480x864"
    """Height and width of the frames (onnx, web). Frames of other sizes are resized."""
    objects: int = 10
    """Maximum number of objects (onnx, web)."""
    memory_frames: int = 8
    """Maximum number of frames in the long-term memory (onnx, web)."""
    window: int | None = None
    """Frames that go through the network together (onnx, ReferFormer). Default: the model's."""
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    """Precision of the graphs (onnx, web; ReferFormer fp32 only)."""
    calibration: Path | None = None
    """Folder of images or video on which int8 is calibrated. Default: a bundled clip."""
    calibration_mask: Path | None = None
    """Mask of the first frame of --calibration."""
    shares: tuple[float, ...] = ()
    """Weight of each checkpoint in the average, such as 3 1. Default: equal weights."""
    dtype: Literal["fp16", "bf16", "fp32"] = "fp16"
    """Data type of the weights in a safetensors file."""
    identities: tuple[int, ...] = ()
    """Identities of the identity bank to keep, such as 1 4 5 (AOT, DeAOT, AOST). Default: all."""
    extend_identities: int | None = None
    """Extend the identity bank to this many identities (AOT, DeAOT, AOST). The new ones have to be trained."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the model's config to change."""

    def check(self) -> None:
        """Check the flags for the format.

        Raises:
            ValueError: a flag; the message names it.
        """
        weights_only = ("shares", "dtype", "identities", "extend_identities")
        graphs_only = ("onnxruntime_web", "size", "objects", "memory_frames", "window", "precision", "calibration")
        for name in graphs_only if self.format == "safetensors" else weights_only:
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                wanted = "onnx or web" if self.format == "safetensors" else "safetensors"
                raise ValueError(f"--{name} is for --format {wanted}")
        if (self.calibration is None) != (self.calibration_mask is None):
            raise ValueError("--calibration and --calibration_mask belong together: give both or neither")
        if self.calibration is not None and self.precision != "int8":
            raise ValueError("--calibration is for --precision int8")
        if self.onnxruntime_web is not None and self.format != "web":
            raise ValueError("--onnxruntime_web is for --format web")
        if self.window is not None and self.format == "web":
            raise ValueError("--window is for --format onnx")
        if self.format != "safetensors":
            check_output_folder(self.output_path, "--output_path ")
            return
        if self.output_path.suffix != ".safetensors":
            raise ValueError(f"--output_path {self.output_path}: the name must end in .safetensors")
        if self.output_path.is_dir():
            raise ValueError(f"--output_path {self.output_path} is a folder: give a file")
        check_output_folder(self.output_path.parent, "--output_path ")
        if not self.ckpt_path:
            raise ValueError("--ckpt_path: give at least one checkpoint")
