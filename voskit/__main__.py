"""The ``voskit`` command: one subcommand for each module of ``voskit.tools``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import voskit
from voskit.plugins import HELP as PLUGIN_HELP

COMMANDS = {
    "demo": "segment a video, given a mask of its objects or a text prompt",
    "batch": "segment many videos, on one or many machines",
    "annotate": "annotate a video in the browser",
    "eval": "run a benchmark: masks, submission archive, timing, scores",
    "compare": "compare models, checkpoints, memory policies and options over datasets",
    "score": "score results with the rules of a benchmark",
    "pack": "check results and write the archive that a benchmark's server takes",
    "merge": "merge evaluations that saved their score maps",
    "train": "train a model through a stage",
    "export": "write checkpoints as one small safetensors file, or as ONNX graphs",
    "weights": "list and download published weights",
    "check-dataset": "report every missing, damaged or mismatched file of a dataset",
    "masks-to-png": "write masks of a JSON file as PNGs, one for each frame",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code.

    Args:
        arguments: the subcommand and its flags; None: those of the process.
    """
    name, *rest = (list(sys.argv[1:] if arguments is None else arguments)) or ["--help"]
    if name in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        rows = [f"  {command:{width}}  {text}" for command, text in COMMANDS.items()]
        help_ = ("voskit COMMAND --help lists the flags.", PLUGIN_HELP)
        print("usage: voskit COMMAND [FLAGS]", "", *rows, "", *help_, sep="\n")
        return 0
    if name == "--version":
        print(f"voskit {voskit.__version__}")
        return 0
    if (command := name.replace("_", "-")) not in COMMANDS:
        from voskit.configs.registry import suggest

        print(f"error: unknown command {name!r}: {suggest(command, COMMANDS)}", file=sys.stderr)
        return 2
    sys.argv = [f"voskit {command}", *rest]
    try:  # tools import the heavy packages when they run
        return importlib.import_module(f"voskit.tools.{command.replace('-', '_')}").main()
    except BrokenPipeError:  # the reader, such as head, has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as for a program ended by SIGPIPE
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "voskit":
            raise
        print(f"error: the package {error.name!r} is missing: pip install voskit installs all of them", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
