"""Imports go one way: tools -> trainers | evaluators -> networks | dataloaders -> configs, and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
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
SUB_ROOMS = {  # of networks/, with its modules
    "ops": set(),
    "layers": {"ops"},
    "memory": {"layers", "ops"},
    "encoders": {"layers", "ops"},
    "decoders": {"layers", "ops"},
    "engines": {"memory", "layers", "ops"},
    "models": {"encoders", "decoders", "memory", "layers", "ops"},
    "families": {"models", "engines"},
    "inference": {"models", "layers"},
    "export": {"models", "layers", "ops"},
    "checkpoint_files": set(),
    "checkpoints": {"checkpoint_files", "families", "models"},
    "downloads": set(),
    "weights": {"downloads"},
    "build": {"checkpoints", "families", "initialization", "models", "weights", "devices"},
    "devices": set(),
    "initialization": set(),
    "memory_usage": set(),
}
LEAF = "voskit.dataloaders.files"  # standard library only: networks write files by it, too
OPENERS = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "imread", "load"}
# modules of networks/ that read and write files
FILE_ROOMS = {"checkpoint_files.py", "checkpoints.py", "weights.py", "downloads.py"}


def imports(tree: ast.AST, *, at_run_time: bool = False, for_types: bool = True) -> Iterator[str]:
    """Full names that a module imports; ``from package import name`` gives ``package.name``.

    Args:
        tree: the module.
        at_run_time: leave out imports below ``if TYPE_CHECKING`` and inside functions.
        for_types: include imports below ``if TYPE_CHECKING``.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (at_run_time and _is_run_later(node)) and (for_types or not _is_for_types(node)):
            yield from imports(node, at_run_time=at_run_time, for_types=for_types)


def _is_run_later(node: ast.AST) -> bool:
    """True for bodies that importing the module doesn't run."""
    return _is_for_types(node) or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def wrong_imports(root: Path, room: str) -> list[str]:
    """Imports of a room that it may not have: of another room, of flat names, or of tests and benchmarks."""
    wrong = []
    for path in sorted((root / room).rglob("*.py")):
        for name in imports(ast.parse(path.read_text())):
            top, _, rest = name.partition(".")
            other = rest.partition(".")[0] if top == "voskit" else top
            forbidden = other in ROOMS and other not in ROOMS[room] | {room} if top == "voskit" else other in ROOMS
            if (forbidden and not name.startswith(LEAF)) or top in ("tests", "benchmarks", "datasets"):
                wrong.append(f"{path.relative_to(root)}: {name}")
    return wrong


def wrong_imports_in_networks(root: Path) -> list[str]:
    """Imports of a sub-room of networks that it may not have, also inside functions; type checkers may see all."""
    wrong = []
    for path in sorted((root / "networks").rglob("*.py")):
        own = path.relative_to(root / "networks").parts[0].removesuffix(".py")
        if own == "__init__":  # names that are imported when they are used
            continue
        for name in imports(ast.parse(path.read_text()), for_types=False):
            top, room, other = (*name.split("."), "", "", "")[:3]
            if (top, room) == ("voskit", "networks") and other not in SUB_ROOMS[own] | {own}:
                wrong.append(f"{path.relative_to(root)}: {name}")
    return wrong


def circles(root: Path) -> list[list[str]]:
    """Groups of modules that import each other at run time, directly or through others."""
    files = {
        f"voskit.{'.'.join(p.relative_to(root).with_suffix('').parts)}": p
        for r in ROOMS
        for p in root.glob(f"{r}/**/*.py")
    }
    modules = {name.removesuffix(".__init__"): path for name, path in files.items()}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        named = set(imports(ast.parse(path.read_text()), at_run_time=True))
        targets = {name if name in modules else name.rpartition(".")[0] for name in named}
        # a package's __init__ is run before its modules, which may import from each other through it
        graph[module] = {t for t in targets & modules.keys() if t != module}
    found, done = [], set()
    for module in graph:
        if module in done:
            continue
        both = {m for m in reachable(graph, module) if module in reachable(graph, m)}
        done |= both
        if both:
            found.append(sorted(both | {module}))
    return found


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Modules that ``start`` imports, directly or through others."""
    seen: set[str] = set()
    left = list(graph[start])
    while left:
        if (module := left.pop()) not in seen:
            seen.add(module)
            left += graph[module]
    return seen


@pytest.mark.parametrize("room", ROOMS)
def test_packages_import_only_what_they_may(room: str) -> None:
    assert any((ROOT / room).rglob("*.py"))
    assert not wrong_imports(ROOT, room)


def test_subpackages_of_networks_import_only_what_they_may() -> None:
    assert not wrong_imports_in_networks(ROOT)


@pytest.mark.parametrize(
    ("sub_room", "line"),
    [
        ("models", "from voskit.networks.engines.aot import AOTEngine"),
        ("layers", "from voskit.networks.memory.bank import FrameBank"),
        ("engines", "def late():\n    from voskit.networks.models.aot import AOT"),
        ("ops", "import voskit.networks.layers"),
        ("memory", "from voskit.networks import build_model"),
    ],
)
def test_a_planted_wrong_import_in_networks_is_found(tmp_path: Path, sub_room: str, line: str) -> None:
    folder = tmp_path / "networks" / sub_room
    folder.mkdir(parents=True)
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from voskit.networks.families import Family"
    (folder / "right.py").write_text(typed)
    assert not wrong_imports_in_networks(tmp_path)
    (folder / "planted.py").write_text(line)
    assert len(wrong_imports_in_networks(tmp_path)) == 1


def test_no_two_modules_import_each_other() -> None:
    assert not circles(ROOT)


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("networks", "from voskit.evaluators import VideoSegmenter"),
        ("configs", "import voskit.networks"),
        ("trainers", "from voskit.evaluators.segmenter import VideoSegmenter"),
        ("dataloaders", "from networks import build_model"),
        ("evaluators", "def late():\n    from voskit.tools import demo"),
        ("tools", "from tests import conftest"),
    ],
)
def test_a_planted_wrong_import_is_found(tmp_path: Path, room: str, line: str) -> None:
    (tmp_path / room).mkdir()
    (tmp_path / room / "right.py").write_text("from voskit.configs import Config\nimport numpy")
    assert not wrong_imports(tmp_path, room)
    (tmp_path / room / "planted.py").write_text(line)
    assert len(wrong_imports(tmp_path, room)) == 1


def test_a_planted_import_cycle_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "networks"
    folder.mkdir()
    (folder / "a.py").write_text("from voskit.networks.b import x")
    (folder / "b.py").write_text("from voskit.networks.c import y")
    (folder / "c.py").write_text("def late():\n    from voskit.networks.a import z")
    assert not circles(tmp_path)
    (folder / "c.py").write_text("from voskit.networks import a")
    assert circles(tmp_path) == [["voskit.networks.a", "voskit.networks.b", "voskit.networks.c"]]


def test_networks_open_no_files_except_checkpoints() -> None:
    for path in (ROOT / "networks").rglob("*.py"):
        if path.name in FILE_ROOMS:
            continue
        calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        names = {
            f.attr if isinstance(f, ast.Attribute) else f.id
            for f in calls
            if isinstance(f, (ast.Attribute, ast.Name)) and ast.unparse(f) != "tl.load"  # Triton's, from memory
        }
        if path.name == "memory_usage.py":
            names -= {"read_text"}  # /proc
        assert not names & OPENERS, path


def test_libraries_neither_print_nor_exit() -> None:
    for room in ROOMS:
        if room == "tools":
            continue
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id not in ("print", "exit", "quit"), f"{path}:{node.lineno}"
