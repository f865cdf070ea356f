"""Plugins: user modules that register models, encoders, stages, losses, datasets, ... (``--plugin``)."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

FLAG = "--plugin"
HELP = f"""Every command also takes {FLAG} FILE_OR_MODULE (repeatable): a Python file or module that registers your own
models, encoders, stages, losses, datasets, memory policies, prompters, export formats, ..., see docs/extending.md."""
_VARIABLE = "VOSKIT_PLUGINS"  # tells processes that a command starts which plugins to load


def take_plugins(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the arguments of a command into its plugins and all others.

    Raises:
        ValueError: ``--plugin`` without a value.
    """
    plugins, others = [], []
    remaining = iter(arguments)
    for argument in remaining:
        flag, sign, value = argument.partition("=")
        if flag != FLAG:
            others.append(argument)
            continue
        value = value if sign else next(remaining, "")
        if not value or value.startswith("-"):
            raise ValueError(f"{FLAG} needs a Python file or the name of a module")
        plugins.append(value)
    return plugins, others


def load_plugins(plugins: Sequence[str]) -> None:
    """Import plugins, and those of the process that started this one.

    The folder of a file is appended to ``sys.path``, and the file is imported under its own name. This lets other
    processes unpickle its classes, and lets it import files next to it.

    Args:
        plugins: Python files or names of modules.

    Raises:
        ValueError: a missing file or module, a name that another module has, or an error inside a plugin.
    """
    inherited = [plugin for plugin in os.environ.get(_VARIABLE, "").split(os.pathsep) if plugin]
    named = [str(file) if (file := _file(plugin)) else plugin for plugin in plugins]
    wanted = list(dict.fromkeys([*inherited, *named]))
    for plugin in wanted:
        _load(plugin)
    if wanted:
        os.environ[_VARIABLE] = os.pathsep.join(wanted)


def _file(plugin: str) -> Path | None:
    """Return the absolute path of a plugin that is a file. None: it is the name of a module."""
    path = Path(plugin)
    if path.suffix == ".py" or path.is_file() or len(path.parts) > 1:
        return path.resolve()
    return beside.resolve() if (beside := Path(f"{plugin}.py")).is_file() else None


def _load(plugin: str) -> None:
    path = _file(plugin)
    if path is not None and path.is_dir():
        raise ValueError(f"{FLAG} {path} is a folder: give a Python file in it")
    if path is not None and not path.is_file():
        raise ValueError(f"{FLAG} {path}: no such file")
    if path is not None and (path.suffix != ".py" or "." in path.stem):
        raise ValueError(f"{FLAG} {path}: rename the file: it must end in .py and have no other dot in its name")
    if path is None and plugin.startswith("."):
        raise ValueError(f"{FLAG} {plugin}: give a Python file, or the full name of a module")
    name = path.stem if path else plugin
    if path is not None:
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
        importlib.invalidate_caches()  # the file may be newer than Python's listing of its folder
        other = getattr(sys.modules[name], "__file__", None) if name in sys.modules else _origin(name)
        if other is None or Path(other).resolve() != path:
            raise ValueError(f"{FLAG} {path}: Python has another module {name!r} ({other}): rename the file")
    try:
        importlib.import_module(name)
    except SystemExit:
        raise ValueError(
            f"{FLAG} {path or plugin}: it ends the program: remove exit() and sys.exit() from it"
        ) from None
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and path is None and f"{name}.".startswith(f"{error.name}.")
        if missing:
            raise ValueError(f"{FLAG} {plugin}: there is neither a module nor a file {plugin}.py") from None
        raise ValueError(
            f"{FLAG} {_place(error, str(path or _origin(plugin)))}: {type(error).__name__}: {_first_line(error)}"
        ) from error


def _origin(name: str) -> str | None:
    spec = importlib.util.find_spec(name) if "." not in name else None
    return spec.origin if spec else None


def _place(error: Exception, file: str) -> str:
    """Return the file and line of a plugin's statement that raised an error."""
    if isinstance(error, SyntaxError):
        return file if error.lineno is None else f"{error.filename}, line {error.lineno}"  # None: a zero byte
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename == file] or [f for f in frames if "importlib" not in f.filename]
    return f"{own[-1].filename}, line {own[-1].lineno}"


def _first_line(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return (text or "no message").splitlines()[0]
