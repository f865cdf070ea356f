"""Exceptions of the project survive pickling: processes hand them to each other."""

from __future__ import annotations

import ast
import importlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voskit.dataloaders.datasets import Problem

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("configs", "networks", "dataloaders", "trainers", "evaluators", "tools", "voskit")
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "ResumeError": ("two frames are missing", "run it again"),
    "SubmissionError": (Path("results"), [Problem(Path("results/a.png"), "has id 7")]),
    "UnclearCutOutError": ("a.png: no pixel is visible", np.eye(3, dtype=bool)),
}


def exceptions() -> Iterator[tuple[str, str]]:
    """Module and name of each class whose base is an exception by its name."""
    for path in sorted(each for room in ROOMS for each in (ROOT / room).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            bases = node.bases if isinstance(node, ast.ClassDef) else []
            if any(ast.unparse(base).endswith(("Error", "Exception")) for base in bases):
                yield f"voskit.{module.removeprefix('voskit.')}", node.name  # type: ignore[attr-defined]


@pytest.mark.parametrize(("module", "name"), exceptions())
def test_a_pickled_exception_keeps_its_message_and_attributes(module: str, name: str) -> None:
    error = getattr(importlib.import_module(module), name)(*ARGUMENTS.get(name, ("the message",)))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error) != ""
    assert repr(vars(copy)) == repr(vars(error))
