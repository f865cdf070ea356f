"""Training checkpoints: the complete state of a run, to resume from."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import torch

from voskit.dataloaders.files import atomic_write

_NAME = re.compile(r"step_(\d+)\.pt")


def save_state(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write ``step_<step>.pt`` completely or not at all, and remove all but the latest ``keep`` checkpoints.

    Args:
        folder: folder of checkpoints; only one process writes there. It is made if needed.
        step: number of steps trained.
        state: plain values and tensors.
        keep: number of checkpoints to keep.

    Raises:
        OSError: the checkpoint can't be written. Earlier checkpoints are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{step:08d}.pt"
    for left in folder.glob(".step_*.tmp"):  # left by killed processes
        left.unlink(missing_ok=True)
    with atomic_write(path, "checkpoint") as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # how torch reports a full disk
            raise OSError(errno.EIO, str(error).splitlines()[0]) from error
        file.flush()
        os.fsync(file.fileno())  # or a power failure might leave an empty file under the final name
    for old in find_states(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def find_states(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the oldest first."""
    found = [p for p in folder.glob("step_*.pt") if _NAME.fullmatch(p.name)]
    return sorted(found, key=lambda p: int(_NAME.fullmatch(p.name)[1]))  # type: ignore[index]


def load_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, without executing pickled code.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged pickle raises errors of any type
        reason = (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0][:120]
        raise ValueError(
            f"checkpoint {path} is damaged ({reason}): delete it to resume from the previous one"
        ) from error
