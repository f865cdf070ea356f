"""Conversion of exported graphs to half precision, and to int8 by static quantization."""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voskit.dataloaders.files import atomic_write_text
from voskit.evaluators.onnx.export import save_graph
from voskit.runtime.graphs import MANIFEST, Graphs, Tensors, read_manifest
from voskit.runtime.segmenter import OnnxSegmenter

logger = logging.getLogger(__name__)

QUANTIZED = ("encode", "propagate")
"""Graphs that are quantized, which take nine tenths of a frame's time. Identities and memories keep their precision."""


def convert_to_fp16(folder: Path) -> None:
    """Convert the graphs of an exported folder to half precision, in place; inputs and outputs stay float32.

    The files are half as large. Where a device has no half-precision operation, ONNX Runtime computes in float32.

    Raises:
        ValueError: the folder holds a ReferFormer, whose points need float32.
    """
    if read_manifest(folder)["family"] == "referformer":
        raise ValueError(f"{folder} holds a ReferFormer: half precision is too coarse for its sampled points")
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    def convert(path: Path) -> Any:
        return convert_float_to_float16(onnx.load(str(path)), keep_io_types=True)

    _rewrite(folder, [name for name in read_manifest(folder)["graphs"] if name != "resize"], convert, "fp16")


def quantize(folder: Path, frames: Iterable[np.ndarray], mask: np.ndarray) -> None:
    """Quantize convolutions and products with weights of an exported folder to 8 bits, in place.

    Ranges of activations are measured while the float32 graphs segment a clip.

    Args:
        folder: a float32 export.
        frames: H x W x 3 uint8 RGB, a clip to measure on; ten frames suffice.
        mask: mask of its first frame.

    Raises:
        ValueError: the mask doesn't fit the frames, or has no objects.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    inputs = _recorded(folder, frames, mask)

    class Reader(CalibrationDataReader):
        def __init__(self, feeds: list[Tensors]) -> None:
            self._feeds = iter(feeds)

        def get_next(self) -> Tensors:
            return next(self._feeds, None)  # type: ignore[arg-type]

    def convert(path: Path) -> Any:
        with tempfile.TemporaryDirectory() as temporary:
            prepared, out = Path(temporary) / "prepared.onnx", Path(temporary) / "quantized.onnx"
            quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(out),
                Reader(inputs[path.stem]),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "MatMul", "Gemm"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True},
            )
            return onnx.load(str(out))

    _rewrite(folder, QUANTIZED, convert, "int8")


def _rewrite(folder: Path, names: Iterable[str], convert: Callable[[Path], Any], precision: str) -> None:
    """Convert some graphs and write them and the manifest."""
    manifest = read_manifest(folder)
    for name in names:
        logger.info("converting %s to %s", name, precision)
        manifest["graphs"][name] = save_graph(folder, name, convert(folder / f"{name}.onnx"))
    manifest["precision"] = precision
    atomic_write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def _recorded(folder: Path, frames: Iterable[np.ndarray], mask: np.ndarray) -> dict[str, list[Tensors]]:
    """Segment a clip and return the inputs of each call, by graph."""
    segmenter = OnnxSegmenter(folder)
    with _recording(segmenter._graphs) as inputs:
        for number, frame in enumerate(frames):
            segmenter.step(frame, mask if number == 0 else None)
    if not inputs.get("propagate"):
        raise ValueError("the clip for int8 needs a mask with an object and two frames or more")
    return inputs


@contextlib.contextmanager
def _recording(graphs: Graphs) -> Iterator[dict[str, list[Tensors]]]:
    """Record the inputs of each call while the body runs."""
    calls: dict[str, list[Tensors]] = {}
    run = graphs.run

    def record(graph: str, inputs: Any) -> Tensors:
        calls.setdefault(graph, []).append({name: np.array(inputs[name]) for name in graphs.inputs[graph]})
        return run(graph, inputs)

    graphs.run = record  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        graphs.run = run  # type: ignore[method-assign]
