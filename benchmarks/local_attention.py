"""Time and peak memory of local attention: each backend compared with the dense form, at video sizes.

    python benchmarks/local_attention.py --sizes 480x854 1080x1920 --forms aot deaot
    python benchmarks/local_attention.py --device cuda --types fp32 fp16 --backward

On a CPU, each case runs in a new process. Errors and ratios are relative to the dense form in float32.
"""

from __future__ import annotations

from common import TYPES, Table, height_and_width, run_in_new_process, save  # isort: skip  (makes the project importable)

import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from plain import dense_local_attention

from voskit.networks.memory_usage import memory_in_use
from voskit.networks.ops import available_backends, local_attention

FORMS = {"aot": (8, 32, 32, True), "deaot": (1, 128, 1024, False)}
"""Number of heads, channels of keys and of values per head, and True if values have relative terms."""
STRIDE = 16


@dataclass(frozen=True)
class Args:
    """Time and peak memory of local attention."""

    sizes: tuple[str, ...] = ("480x854", "1080x1920")
    """Heights and widths of the video; maps have a sixteenth of these."""
    forms: tuple[str, ...] = tuple(FORMS)
    """aot, deaot"""
    types: tuple[str, ...] = ("fp32",)
    """fp32, fp16, bf16; the dense form is always float32."""
    backward: bool = False
    """Also measure the backward pass."""
    runs: int = 5
    device: str = "cpu"
    threads: int = 2
    output: Path | None = None


def measure(args: Args, form: str, size: str, backend: str, kind: str) -> dict[str, float]:
    """Return the median seconds, the additional MiB, and the largest error."""
    torch.set_num_threads(args.threads)
    height, width = (side // STRIDE + 1 for side in height_and_width(size))
    heads, channels, values, has_rel_v = FORMS[form]
    g = torch.Generator().manual_seed(0)
    shapes = [(1, height, width, heads, c) for c in (channels, channels, values)]
    shapes += [(heads, 225, channels), (heads, 225)] + [(heads, 225, values)] * has_rel_v
    inputs = [torch.randn(*shape, generator=g) for shape in shapes]
    inputs[3] *= channels**-0.5  # the relative bias is as large as the scores
    inputs = [x.to(args.device, TYPES[kind]) for x in inputs]
    device = torch.device(args.device)

    def run() -> torch.Tensor:
        own = [x.detach().requires_grad_(args.backward) for x in inputs]
        out = dense_local_attention(*own) if backend == "dense" else local_attention(*own, backend=backend)
        if args.backward:
            out.sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return out.detach()

    before = memory_in_use(device)
    with Peak(device) as peak:
        out = run()
    times = []
    for _ in range(args.runs):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    with torch.no_grad():
        error = (out.float() - dense_local_attention(*(x.float() for x in inputs))).abs().max().item()
    return {"seconds": statistics.median(times), "MiB": (peak.bytes - before) / 2**20, "error": error}


class Peak:
    """Context manager that records the peak memory; on a CPU, it polls every millisecond."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.bytes = device, 0
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look)

    def __enter__(self) -> Peak:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated()
        else:
            self._ended.set()
            self._watch.join()

    def _look(self) -> None:
        while not self._ended.wait(0.001):
            self.bytes = max(self.bytes, memory_in_use(self.device))


def main(args: Args) -> None:
    """Measure all cases."""
    print(f"{args.device}, {'forward and backward' if args.backward else 'forward'}")
    formats = {"seconds": ".5f", "time_ratio": ".1f", "MiB": ".1f", "memory_ratio": ".1f", "error": ".1e"}
    table = Table(form="", size="", how="", type="", **formats)
    backends = [b for b in available_backends() if b != "triton" or args.device.startswith("cuda")]
    cases = [("dense", "fp32"), *((b, t) for b in backends for t in args.types)]
    for form in args.forms:
        for size in args.sizes:
            first: dict[str, float] = {}
            for backend, kind in cases:
                case = (args, form, size, backend, kind)
                figures = measure(*case) if args.device.startswith("cuda") else run_in_new_process(measure, *case)
                row: dict[str, Any] = {"form": form, "size": size, "how": backend, "type": kind, **figures}
                first = first or row
                row["time_ratio"] = first["seconds"] / row["seconds"]
                row["memory_ratio"] = first["MiB"] / max(row["MiB"], 0.1)
                table.add(row)
    save("local_attention", args, rows=table.rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
