"""Tools as scripts of a checkout: the same programs as ``voskit COMMAND``, without an installation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from voskit.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [ROOT / "tools" / f"{command.replace('-', '_')}.py" for command in COMMANDS]
# runs a script in an interpreter that finds neither an installed voskit nor the packages named in sys.argv[2]
RUN = """
import importlib.abc, runpy, sys
from pathlib import Path
script, missing, *rest = sys.argv[1:]
root = Path(script).parents[1]
sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]
sys.path[:] = [path for path in sys.path if path and Path(path).resolve() != root]

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in missing.split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
sys.argv = [script, *rest]
sys.path.insert(0, str(Path(script).parent))
runpy.run_path(script, run_name="__main__")
"""


def run(script: Path, *arguments: str, missing: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", RUN, str(script), missing, *arguments]
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help_names_the_command_and_imports_no_torch(script: Path) -> None:
    done = run(script, "--help", missing="torch,cv2,av")
    assert done.returncode == 0, done.stderr
    assert f"usage: voskit {script.stem.replace('_', '-')}" in done.stdout
    assert "python tools/" not in done.stdout


@pytest.mark.parametrize(("missing", "flags"), [("tyro", []), ("torch", ["--max_frames", "1"])])
def test_a_missing_dependency_is_one_line(missing: str, flags: list[str]) -> None:
    done = run(ROOT / "tools" / "demo.py", *flags, missing=missing)
    assert done.returncode == 1
    errors = done.stderr.strip().splitlines()
    assert errors[-1] == f"error: the package {missing!r} is missing: pip install voskit installs all of them"
    assert not any(line.startswith("Traceback") for line in errors)


def test_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys, voskit.tools.demo; print({'torch', 'cv2', 'av', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_the_annotation_page_opens_before_torch_is_imported() -> None:
    code = "import sys, voskit.evaluators.annotation.start; print({'torch', 'torchvision'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
