"""Sessions of exported graphs in ONNX Runtime and OpenVINO."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Tensors = dict[str, np.ndarray]
"""Arrays by the names of a graph's inputs or outputs."""
BACKENDS = ("onnxruntime", "openvino")


class Session(Protocol):
    """A loaded graph."""

    inputs: list[str]

    def run(self, inputs: Mapping[str, np.ndarray]) -> Tensors:
        """Run the graph on contiguous arrays."""


class OnnxRuntimeSession:
    """A graph in ONNX Runtime.

    Args:
        path: the graph.
        threads: threads of an operation; None: one for each core.
        providers: execution providers, best first.

    Raises:
        ValueError: ONNX Runtime or a provider isn't installed.
    """

    def __init__(self, path: Path, threads: int | None, providers: Sequence[str]) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise ValueError("exported models need ONNX Runtime: pip install onnxruntime") from None
        available = onnxruntime.get_available_providers()
        if missing := [name for name in providers if name not in available]:
            raise ValueError(f"ONNX Runtime has no provider {missing[0]} here; available: {', '.join(available)}")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only
        options.intra_op_num_threads = threads or 0
        self._session = onnxruntime.InferenceSession(str(path), options, providers=list(providers))
        self.inputs = [x.name for x in self._session.get_inputs()]
        self._outputs = [x.name for x in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, np.ndarray]) -> Tensors:
        """Run the graph on contiguous arrays."""
        return dict(zip(self._outputs, self._session.run(None, dict(inputs)), strict=True))


class OpenVinoSession:
    """A graph in OpenVINO, on the CPU.

    Args:
        path: the graph.
        threads: number of threads; None: one for each core.
        precision: ``"f32"``, or ``"bf16"`` or ``"f16"`` for processors that compute in it.

    Raises:
        ValueError: OpenVINO isn't installed, or the precision is unknown.
    """

    def __init__(self, path: Path, threads: int | None, precision: str) -> None:
        if precision not in ("f32", "bf16", "f16"):
            raise ValueError(f"precision must be f32, bf16 or f16, got {precision!r}")
        try:
            import openvino
        except ModuleNotFoundError:
            raise ValueError("backend='openvino' needs OpenVINO: pip install openvino") from None
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        model = openvino.Core().compile_model(str(path), "CPU", options)
        self._request = model.create_infer_request()
        self.inputs = [_graph_name(port.get_names()) for port in model.inputs]
        self._outputs = [_graph_name(port.get_names()) for port in model.outputs]

    def run(self, inputs: Mapping[str, np.ndarray]) -> Tensors:
        """Run the graph on contiguous arrays."""
        self._request.infer(dict(inputs))
        # the next run overwrites the request's own arrays
        return {name: self._request.get_output_tensor(i).data.copy() for i, name in enumerate(self._outputs)}


def _graph_name(names: Iterable[str]) -> str:
    """Return a port's name in the graph. Ports of half-precision graphs also have the names of their casts."""
    return next(name for name in sorted(names) if not name.startswith(("graph_input_cast_", "graph_output_cast_")))
