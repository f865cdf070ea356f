"""Checkpoints of training: everything that resuming needs, written complete or not at all."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import torch

logger = logging.getLogger(__name__)

_NAME = re.compile(r"step_(\d+)\.pt")


def save_state(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write ``step_<step>.pt`` under a temporary name, rename it, and remove all but the latest ``keep``.

    Raises:
        OSError: it can't be written; earlier checkpoints stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{step:08d}.pt"
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave an empty file under the final name
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as either
        raise OSError(f"checkpoint {path} could not be written: {error}") from error
    finally:
        for left in folder.glob(".step_*.tmp"):  # also of processes that were killed: one alone writes here
            left.unlink(missing_ok=True)
    for old in find_states(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def find_states(folder: Path) -> list[Path]:
    """Checkpoints of a folder, the oldest first."""
    found = [p for p in folder.glob("step_*.pt") if _NAME.fullmatch(p.name)]
    return sorted(found, key=lambda p: int(_NAME.fullmatch(p.name)[1]))  # type: ignore[index]


def load_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running code of the file.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise ValueError(f"checkpoint {path} is damaged ({reason}): remove it to go on from the one before") from error
