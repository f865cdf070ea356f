"""Common parts of all commands: flags, logging, one-line errors, exit codes."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import itertools
import logging
import os
import platform
import re
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import tyro
from tqdm.contrib.logging import logging_redirect_tqdm

from voskit.configs.registry import suggest
from voskit.plugins import HELP as PLUGIN_HELP
from voskit.plugins import load_plugins, take_plugins

Args = TypeVar("Args")

_OTHER_NAMES = {  # flags of similar programs
    "data_path": ("input", "i", "video", "video_path", "source", "src", "images", "frames", "file"),
    "output_path": ("output", "o", "out", "output_dir", "outdir", "save_path", "save_dir", "result_dir", "results"),
    "ckpt_path": ("checkpoint", "ckpt", "weights", "resume_from", "pretrained", "load"),
    "model": ("arch", "network", "net", "config", "cfg", "m"),
    "mask": ("masks", "mask_path", "annotation", "first_mask"),
    "text": ("prompt", "prompts", "expression", "caption"),
    "data_root": ("root", "dataset_root", "data_dir", "d"),
    "gpu_num": ("gpus", "num_gpus", "ngpu", "nproc"),
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
        **options: ``interrupted`` and ``level`` of ``run_command``.
    """
    try:
        plugins, sys.argv[1:] = take_plugins(sys.argv[1:])
        load_plugins(plugins)
        sys.argv[1:] = _read_flags(sys.argv[1:], args)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    parsed = tyro.cli(args, description=f"{description or ''}\n\n{PLUGIN_HELP}")
    return run_command(lambda: run(parsed), **options)


def _read_flags(arguments: list[str], args: type) -> list[str]:
    """Turn a leading argument without a flag into ``--data_path``, and check the names of all flags.

    Raises:
        ValueError: an unknown flag; the message names the flag to use.
    """
    types = {field.name: str(field.type) for field in dataclasses.fields(args)}
    known = set(types)
    leading = list(itertools.takewhile(lambda text: not text.startswith("-"), arguments))
    if leading and "data_path" in known:
        if len(leading) > 1 and not types["data_path"].startswith("tuple"):
            raise ValueError(f"{leading[1]!r} belongs to no flag: give one video, or a folder of scenes")
        arguments = ["--data_path", *arguments]
    for text in arguments:
        name = text.partition("=")[0].lstrip("-").replace("-", "_")
        if not re.fullmatch(r"--?[A-Za-z][\w-]*", text.partition("=")[0]) or name in known | {"h", "help"}:
            continue
        ours = next((flag for flag, others in _OTHER_NAMES.items() if name in others and flag in known), None)
        negated = name.removeprefix("no_")
        if negated in known:
            continue
        hint = f"use --{ours}" if ours else suggest(name, known)
        raise ValueError(f"unknown flag {text.partition('=')[0]}: {hint}")
    return arguments


@contextlib.contextmanager
def quiet(level: int, name: str | None = "") -> Iterator[None]:
    """Hide log messages below a level in a ``with`` block.

    Args:
        level: lowest level to show.
        name: the module whose messages are hidden; "": all; None: none.
    """
    log = logging.getLogger(name)
    before = log.level
    if name is not None:
        log.setLevel(level)
    try:
        yield
    finally:
        log.setLevel(before)


def _reuse_freed_memory() -> None:
    """Keep freed blocks in the process instead of returning each to the system.

    glibc maps a new block for every large tensor, and the kernel then clears its pages: a quarter of the CPU time with
    49 objects. Up to 256 MiB of freed memory stay in the process. Other systems keep their own rule.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 256 * 2**20)


def on_first_rank() -> bool:
    """Return whether this process is the first of those that ``torchrun`` started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def run_command(run: Callable[[], int], *, interrupted: str = "interrupted", level: int = logging.INFO) -> int:
    """Run a command; report user errors as one line on stderr instead of a traceback.

    Args:
        run: returns the exit code, 0 only if everything was done.
        interrupted: message after Ctrl-C or SIGTERM.
        level: lowest level of log messages to show; other ranks than the first show warnings only.
    """
    logging.basicConfig(level=level if on_first_rank() else logging.WARNING, format="%(message)s")
    _reuse_freed_memory()
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        with logging_redirect_tqdm():
            return run()
    except (ValueError, OSError, FloatingPointError, BrokenProcessPool) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    except _Terminated:
        print(interrupted, file=sys.stderr)
        return 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


class _Terminated(BaseException):
    """SIGTERM as an exception, so that open files are closed and results are kept, as after Ctrl-C."""


def _terminate(*_: object) -> None:
    raise _Terminated
