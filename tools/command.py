"""Common parts of all commands: flags, logging, one-line errors, exit codes."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import itertools
import logging
import math
import os
import platform
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar, get_args, get_type_hints

from tqdm.contrib.logging import logging_redirect_tqdm

from voskit.configs.registry import suggest
from voskit.evaluators.parallel.parent import end_with_parent
from voskit.plugins import HELP as PLUGIN_HELP
from voskit.plugins import load_plugins, take_plugins
from voskit.tools.help_texts import parse_flags

Args = TypeVar("Args")

_OTHER_NAMES = {  # flags of similar programs
    "data_path": ("input", "i", "video", "video_path", "source", "src", "images", "frames", "file"),
    "output_path": ("output", "o", "out", "output_dir", "outdir", "save_path", "save_dir", "result_dir", "results"),
    "ckpt_path": ("checkpoint", "ckpt", "weights", "resume_from", "pretrained", "load"),
    "model": ("arch", "network", "net", "config", "cfg", "m"),
    "mask": ("masks", "mask_path", "annotation", "first_mask"),
    "text": ("prompt", "prompts", "expression", "caption"),
    "data_root": ("root", "dataset_root", "data_dir", "d"),
    "gpu_num": ("gpus", "num_gpus", "ngpu", "nproc", "processes", "num_processes"),
    "max_resolution": ("resolution", "size", "imsize", "max_size"),
    "max_memory_frames": ("memory", "mem_frames", "num_memory_frames"),
    "results": ("results_path", "predictions", "pred"),
}
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


def run_tool(run: Callable[[Args], int], args: type[Args], description: str | None, **options: Any) -> int:
    """Load plugins, parse the command line into ``args`` and run a command with it, see :func:`run_command`.

    Args:
        run: the command; returns the exit code.
        args: dataclass of the flags.
        description: text for ``--help``.
        **options: ``interrupted``, ``less_memory`` and ``level`` of ``run_command``.
    """
    end_with_parent()
    try:
        plugins, sys.argv[1:] = take_plugins(sys.argv[1:])
        load_plugins(plugins)
        sys.argv[1:] = _read_flags(sys.argv[1:], args)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    parsed = parse_flags(args, f"{description or ''}\n\n{PLUGIN_HELP}")
    return run_command(lambda: run(parsed), **options)


def _read_flags(arguments: list[str], args: type) -> list[str]:
    """Turn positional arguments into ``--data_path`` and aliases into flags, and check the names of all flags.

    Raises:
        ValueError: a flag is unknown (the message names the flag to use), there are more positional arguments than
            ``--data_path`` takes, or a flag that takes a list is given twice or without a value.
    """
    if "" in arguments:
        raise ValueError("an argument is empty: perhaps it comes from a shell variable that isn't set")
    types = {field.name: str(field.type) for field in dataclasses.fields(args)}
    known = set(types)
    arguments = [_without_alias(text, _aliases(args)) for text in arguments]
    _check_names(arguments, known)
    if "data_path" in known and (free := _free_words(arguments, types)):
        words = [arguments[place] for place in free]
        if len(words) > 1 and not types["data_path"].startswith("tuple"):
            raise ValueError(f"{words[1]!r} belongs to no flag, and --data_path takes one value")
        others = [text for place, text in enumerate(arguments) if place not in free]
        arguments = ["--data_path", *words, *others]
    lists = {name for name, kind in types.items() if "tuple" in kind and "UseAppendAction" not in kind}
    given = [_name(text) for text in arguments if text.startswith("--")]
    if twice := next((name for name in given if name in lists and given.count(name) > 1), None):
        raise ValueError(f"--{twice} is given twice: write all its values after one --{twice}")
    ends = [place for place, text in enumerate(arguments) if _is_flag(text)] + [len(arguments)]
    for place, end in itertools.pairwise(ends):
        text = arguments[place]
        if end == place + 1 and text.startswith("--") and text.lstrip("-").replace("-", "_") in lists:
            raise ValueError(f"{text} has no value: give at least one, or leave out the flag")
    return arguments


def _check_names(arguments: list[str], known: set[str]) -> None:
    """Raise an error for a flag that isn't among the known names."""
    for text in arguments:
        name = _name(text)
        if not re.fullmatch(r"--?[A-Za-z][\w-]*", text.partition("=")[0]) or name in known | {"h", "help"}:
            continue
        ours = next((flag for flag, others in _OTHER_NAMES.items() if name in others and flag in known), None)
        negated = name.removeprefix("no_")
        if negated in known:
            continue
        hint = f"use --{ours}" if ours else suggest(name, known)
        raise ValueError(f"unknown flag {text.partition('=')[0]}: {hint}")


def _aliases(args: type) -> dict[str, str]:
    """Return the flag of each alias, with underscores and without dashes in front."""
    hints = get_type_hints(args, include_extras=True)
    return {
        _name(alias): flag
        for flag, hint in hints.items()
        for data in get_args(hint)[1:]
        for alias in getattr(data, "aliases", None) or ()
    }


def _without_alias(text: str, aliases: Mapping[str, str]) -> str:
    flag = aliases.get(_name(text)) if text.startswith("--") else None
    return text if flag is None else f"--{flag}{text[len(text.partition('=')[0]) :]}"


def _name(text: str) -> str:
    """Return the name of a flag, with underscores and without dashes in front."""
    return text.partition("=")[0].lstrip("-").replace("-", "_")


def _is_flag(text: str) -> bool:
    return re.match(r"--?[A-Za-z]", text) is not None


def _free_words(arguments: list[str], types: dict[str, str]) -> list[int]:
    """Return the indices of positional arguments: switches take no word, lists all up to the next flag, others one."""
    free, taken = [], 0.0
    for place, text in enumerate(arguments):
        if _is_flag(text):
            kind = types.get(_name(text), "bool")
            taken = 0 if "=" in text or kind == "bool" else math.inf if "tuple" in kind else 1
        elif taken:
            taken -= 1
        else:
            free.append(place)
    return free


@contextlib.contextmanager
def quiet(level: int, name: str | None = "") -> Iterator[None]:
    """Hide log messages below a level in a ``with`` block.

    Args:
        level: lowest level to show.
        name: the module whose messages are hidden; "": all modules; None: none.
    """
    log = logging.getLogger(name)
    before = log.level
    if name is not None:
        log.setLevel(level)
    try:
        yield
    finally:
        log.setLevel(before)


def reuse_freed_memory() -> None:
    """Keep freed memory blocks in the process instead of returning each to the system.

    glibc maps a new block for every large tensor, and the kernel then clears its pages, which takes a quarter of the
    CPU time with 49 objects. Up to 256 MiB of freed memory stay in the process. Nothing changes on other systems.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 256 * 2**20)


def on_first_rank() -> bool:
    """Return True if this process is rank 0 of those started by ``torchrun``, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def run_command(
    run: Callable[[], int],
    *,
    interrupted: str = "interrupted",
    less_memory: str = "Use smaller frames, fewer frames in memory, or --amp",
    level: int = logging.INFO,
) -> int:
    """Run a command; report user errors as one line on stderr instead of a traceback.

    Args:
        run: returns the exit code, 0 only if everything was done.
        interrupted: message after Ctrl-C or SIGTERM.
        less_memory: advice if the GPU runs out of memory.
        level: lowest level of log messages to show; ranks other than 0 show warnings only.
    """
    logging.basicConfig(level=level if on_first_rank() else logging.WARNING, format="%(message)s")
    reuse_freed_memory()
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        with logging_redirect_tqdm():
            return run()
    except BrokenPipeError:
        raise  # not a file error: the reader of the output is gone
    except (ValueError, OSError, FloatingPointError, BrokenProcessPool) as error:
        print(f"error: {_in_words(error)}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        line = str(error).splitlines()[0].strip() if str(error) else ""
        if type(error).__name__ == "OutOfMemoryError":  # PyTorch's, which isn't imported just for this check
            print(f"error: {line} {less_memory}", file=sys.stderr)
        elif line.startswith("DataLoader worker"):
            print(
                f"error: {line} It may have run out of memory: lower the number of loader processes "
                "(workers), and run the command again",
                file=sys.stderr,
            )
        else:
            raise
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    except _Terminated:
        print(interrupted, file=sys.stderr)
        return 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


def _in_words(error: Exception) -> str:
    """Return an error's message; for system errors, the file and the reason without the error number."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


class _Terminated(BaseException):
    """SIGTERM as an exception, so that open files are closed and results are kept, as after Ctrl-C."""


def _terminate(*_: object) -> None:
    raise _Terminated
