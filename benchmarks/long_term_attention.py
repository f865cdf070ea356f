"""Time of long-term attention to all positions of the memory, and to the ``top_k`` most similar ones.

python benchmarks/long_term_attention.py --groups 1 10 --top_k 30 64
python benchmarks/long_term_attention.py --device cuda --dtype fp16
"""

from __future__ import annotations

from common import TYPES, Table, height_and_width, median_seconds, save  # isort: skip  (makes the project importable)

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import tyro

from voskit.networks.ops import attention

FORMS = {"aot": (8, 32, 32), "deaot": (1, 128, 1024)}
"""Number of heads, and channels of keys and of values per head."""
STRIDE = 16


@dataclass(frozen=True)
class Args:
    """Time of long-term attention."""

    size: str = "588x1040"
    """Height and width of the network's input; maps have a sixteenth of these."""
    frames: int = 10
    """Frames in memory."""
    groups: tuple[int, ...] = (1, 10)
    """Numbers of identity groups, which share query and key, as in the first layer."""
    top_k: tuple[int, ...] = (30, 64)
    dtype: Literal["fp32", "fp16", "bf16"] = "fp32"
    runs: int = 5
    device: str = "cpu"
    threads: int = 2
    output: Path | None = None


@torch.inference_mode()
def seconds(args: Args, form: str, groups: int, choices: tuple[int | None, ...]) -> list[float]:
    """Return the median seconds of each choice of ``top_k``."""
    height, width = (side // STRIDE + 1 for side in height_and_width(args.size))
    heads, channels, values = FORMS[form]
    generator = torch.Generator().manual_seed(0)

    def random(batch: int, frames: int, columns: int) -> torch.Tensor:
        x = torch.randn(batch, heads, frames * height * width, columns, generator=generator)
        return x.to(args.device, TYPES[args.dtype])

    q, k, v = random(1, 1, channels), random(1, args.frames, channels), random(groups, args.frames, values)
    return median_seconds([partial(attention, q, k, v, top_k) for top_k in choices], args.runs)


def main(args: Args) -> None:
    """Measure all cases."""
    torch.set_num_threads(args.threads)
    choices = (None, *args.top_k)
    table = Table(form="", groups="d", top_k="", seconds=".3f", ratio=".1f")
    for form in FORMS:
        for groups in args.groups:
            times = seconds(args, form, groups, choices)
            for top_k, own in zip(choices, times, strict=True):
                ratio = times[0] / own
                table.add({"form": form, "groups": groups, "top_k": top_k or "all", "seconds": own, "ratio": ratio})
    save("long_term_attention", args, rows=table.rows)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
