"""List published weights, or download those of a model or an encoder.

    voskit weights
    voskit weights r50_deaotl
    voskit weights r50_deaotl --variant PRE
    voskit weights resnet50-0676ba61.pth

Prints a table, or the path of the file. Downloads go to VOSKIT_HOME, by default the user's cache folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # python tools/weights.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from voskit.__main__ import main as voskit

    sys.exit(voskit(["weights", *sys.argv[1:]]))

from dataclasses import dataclass

import tyro

from voskit.networks.weights import find_encoder, find_weights, list_published
from voskit.tools.command import run_tool
from voskit.tools.weights_table import weights_table


@dataclass(frozen=True)
class Args:
    """List published weights, or download those of a model or an encoder."""

    model: tyro.conf.Positional[str | None] = None
    """A model of the zoo, or the file name of an encoder. Default: print the table."""
    variant: str | None = None
    """A variant of the model's weights, as in the table. Default: the one marked with *."""


def run(args: Args) -> int:
    """Print the table or download a file; return the exit code."""
    if args.model is None:
        if args.variant is not None:
            raise ValueError(f"--variant {args.variant}: give the model, too")
        print(weights_table())
    elif args.model in {entry.file for entry in list_published() if not entry.model}:
        print(find_encoder(args.model))
    else:
        print(find_weights(args.model, args.variant or True))
    return 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, Args, __doc__, interrupted="interrupted; the next call resumes the download")
