"""Arrows go one way only: tools -> trainers | evaluators -> networks | dataloaders -> configs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "configs": set(),
    "networks": {"configs"},
    "dataloaders": {"configs"},
    "trainers": {"configs", "networks", "dataloaders"},
    "evaluators": {"configs", "networks", "dataloaders"},
    "tools": {"configs", "networks", "dataloaders", "trainers", "evaluators"},
}
OPENERS = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "imread", "load"}


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names & (ROOMS.keys() | {"tests", "benchmarks", "datasets"})


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_they_may(room: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): imported_rooms(path) - ROOMS[room] - {room}
        for path in sorted((ROOT / room).rglob("*.py"))
        if imported_rooms(path) - ROOMS[room] - {room}
    }
    assert not wrong


def test_networks_open_no_files_except_checkpoints() -> None:
    for path in (ROOT / "networks").rglob("*.py"):
        if path.name == "checkpoints.py":
            continue
        calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        names = {
            f.attr if isinstance(f, ast.Attribute) else f.id
            for f in calls
            if isinstance(f, (ast.Attribute, ast.Name)) and ast.unparse(f) != "tl.load"  # Triton's, from memory
        }
        assert not names & OPENERS, path


def test_libraries_neither_print_nor_exit() -> None:
    for room in ROOMS:
        if room == "tools":
            continue
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id not in ("print", "exit", "quit"), f"{path}:{node.lineno}"
