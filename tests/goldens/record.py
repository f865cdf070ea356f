"""Record the numbers of this folder's cases, or compare them with what the code computes now.

    python tests/goldens/record.py                  record all cases
    python tests/goldens/record.py aot xmem         record these
    python tests/goldens/record.py --compare aot    exit code 1, and a line for each number that differs

Record again only when numbers are meant to change, and say in the commit why they do.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":  # imports below: this folder as a package, and the checkout
    sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

import numpy as np
import torch

from goldens.cases import CASES


def compute(name: str) -> dict[str, np.ndarray]:
    """Return the numbers of a case, computed by one thread in float32."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        numbers = CASES[name].compute()
    finally:
        torch.set_num_threads(threads)
    return {key: compact(np.asarray(value)) for key, value in numbers.items()}


def compact(values: Any) -> np.ndarray:
    """Return an array of one type for all machines: float32, int32 or uint8."""
    if values.dtype == np.uint8:
        return values
    return values.astype(np.float32 if values.dtype.kind == "f" else np.int32)


def record(name: str) -> None:
    """Write the numbers of a case to this folder."""
    np.savez_compressed(HERE / f"{name}.npz", **compute(name))


def differences(name: str) -> list[str]:
    """Return a line for each number of a case that isn't the recorded one."""
    with np.load(HERE / f"{name}.npz") as file:
        recorded = {key: file[key] for key in file.files}
    numbers = compute(name)
    if numbers.keys() != recorded.keys():
        return [f"{name}: has {sorted(numbers)}, recorded {sorted(recorded)}"]
    found = []
    for key, want in recorded.items():
        got = numbers[key]
        if got.shape != want.shape or got.dtype != want.dtype:
            found.append(f"{name}, {key}: {got.dtype} {got.shape}, recorded {want.dtype} {want.shape}")
            continue
        error = np.abs(got.astype(np.float64) - want) / (1 + np.abs(want.astype(np.float64)))
        allowed = CASES[name].tolerance if want.dtype.kind == "f" else 0
        if error.size and not error.max() <= allowed:
            found.append(f"{name}, {key}: differs by {error.max():.3g}, allowed {allowed:.3g}")
    return found


def main() -> int:
    """Record or compare the cases that are named, or all."""
    names = [name for name in sys.argv[1:] if name != "--compare"] or list(CASES)
    if "--compare" not in sys.argv[1:]:
        for name in names:
            record(name)
        return 0
    found = [line for name in names for line in differences(name)]
    print(*found, sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
