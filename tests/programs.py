"""Python programs in processes of their own that need not import PyTorch again.

They are forked from one process that has imported the heavy libraries and nothing of the project, which takes two
seconds once instead of in each. Programs that test how they start are run by ``subprocess`` itself.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORKS = "forkserver" in multiprocessing.get_all_start_methods()  # not on Windows
CONTEXT: Any = multiprocessing.get_context("forkserver" if FORKS else None)
if FORKS:
    heavy = ["torch", "torch._dynamo", "torch.nn.functional", "cv2", "scipy.ndimage", "PIL.Image", "av", "tyro"]
    CONTEXT.set_forkserver_preload(heavy)


def run_program(
    command: list[str], cwd: str | Path = ".", env: Mapping[str, str] | None = None, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run a Python program as ``subprocess.run(command, capture_output=True, text=True)`` does.

    Args:
        command: an interpreter, which is ignored; ``-B`` or nothing; ``file.py``, ``-m module`` or ``-c code``; and
            arguments.
        cwd: working directory.
        env: environment; this process's by default. Variables that PyTorch reads when it is imported have no effect.
        timeout: in seconds; then the program is killed, and ``subprocess.TimeoutExpired`` raised.
    """
    if not FORKS:
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout)
    with tempfile.TemporaryDirectory() as folder:
        texts = [Path(folder, "stdout"), Path(folder, "stderr")]
        words = [str(word) for word in command[1:]]
        process = CONTEXT.Process(
            target=_become, args=(words, str(cwd), dict(os.environ if env is None else env), texts)
        )
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(command, timeout)
        out, err = (text.read_text() for text in texts)
    return subprocess.CompletedProcess(command, process.exitcode or 0, out, err)


def _become(words: list[str], cwd: str, env: dict[str, str], texts: list[Path]) -> None:
    """Run a program in this process, with its output in two files."""
    for descriptor, text in enumerate(texts, start=1):
        os.dup2(os.open(text, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.dont_write_bytecode = words[0] == "-B"
    words = words[sys.dont_write_bytecode :]
    kind, name, arguments = (words[0], words[1], words[2:]) if words[0] in ("-m", "-c") else ("", words[0], words[1:])
    first = str(Path(name).resolve().parent) if not kind else cwd
    installed = [path for path in sys.path if path.startswith((sys.prefix, sys.base_prefix))]
    sys.path[:] = [first, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep)), *installed]
    sys.argv = [kind or name, *arguments]
    try:
        if kind == "-m":
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        elif kind == "-c":
            exec(compile(name, "<string>", "exec"), {"__name__": "__main__"})
        else:
            runpy.run_path(str(Path(name).absolute()), run_name="__main__")  # processes that it spawns run it again
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves them out
        sys.stdout.flush()
        sys.stderr.flush()
