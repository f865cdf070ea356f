"""Writer of docs/inputs.md: every form of input that is read, how it is understood, and what is refused.

    python docs/make_inputs.py

Reads the inputs of the tests in tests/inputs_table.py, and docs/data/inputs_*.json, lists of objects with the keys
kind, form, reading and refused.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
TITLES = {
    "video": "Videos",
    "frames": "Frames",
    "mask": "Masks",
    "checkpoint": "Checkpoints",
    "dataset": "Datasets",
    "list": "Lists and tables",
}


def rows() -> list[dict[str, str]]:
    """Return the rows of all tables."""
    table = _inputs_table()
    masks = [
        {
            "kind": "mask",
            "form": one.form,
            "reading": one.reading,
            "refused": "" if one.ids is not None else f'"{one.says}"',
        }
        for one in table.MASKS
    ]
    others = [json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "docs/data").glob("inputs_*.json"))]
    return [*masks, *table.OTHERS, *(row for rows in others for row in rows)]


def page() -> str:
    """Return the content of docs/inputs.md."""
    lines = [
        "# Inputs",
        "",
        "This page lists every form of input, how voskit reads it, and the message if it is refused. A reading that",
        "isn't obvious is logged in one line; an error is one line that names the file. Every row is an input of the",
        "tests; `docs/make_inputs.py` writes the page.",
    ]
    found = rows()
    for kind, title in TITLES.items():
        own = [row for row in found if row["kind"] == kind]
        if own:
            lines += ["", f"## {title}", "", "| form | read as | refused |", "| --- | --- | --- |"]
            lines += [f"| {_cell(row['form'])} | {_cell(row['reading'])} | {_cell(row['refused'])} |" for row in own]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return (text or "").replace("|", "\\|").replace("\n", " ")


def _inputs_table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("inputs_table", ROOT / "tests" / "inputs_table.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    (ROOT / "docs" / "inputs.md").write_text(page(), encoding="utf-8")
