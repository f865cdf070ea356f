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

from voskit.networks.weights import (
    PRETRAINED,
    PublishedWeights,
    find_encoder,
    find_weights,
    list_published,
    path_here,
    weights_folder,
)
from voskit.tools.command import run_tool


@dataclass(frozen=True)
class Args:
    """List published weights, or download those of a model or an encoder."""

    model: tyro.conf.Positional[str | None] = None
    """A model of the zoo, or the file name of an encoder. Default: print the table."""
    variant: str | None = None
    """A variant of the model's weights, as in the table. Default: the one marked with *."""


def table() -> str:
    """Return the table of all published weights."""
    rows = [("model", "variant", "MiB", "file", "here"), *map(_row, list_published())]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        f"{model:{widths[0]}}  {variant:{widths[1]}}  {size:>{widths[2]}}  {file:{widths[3]}}  {here}".rstrip()
        for model, variant, size, file, here in rows
    ]
    notes = (
        "*  main variant: pretrained=True, and tools without --ckpt_path",
        "~  approximate; for checkpoints, four bytes per parameter",
        f"Files are looked for in {PRETRAINED}, then in {weights_folder()}, where downloads go (VOSKIT_HOME).",
    )
    return "\n".join([*lines, "", *notes])


def _row(entry: PublishedWeights) -> tuple[str, str, str, str, str]:
    path = path_here(entry.file)
    size = f"~{entry.mebibytes:.0f}" if entry.mebibytes else ""
    if path is not None:
        size = f"{path.stat().st_size / 2**20:.0f}"
    variant = f"{entry.variant} *" if entry.is_main else entry.variant
    return entry.model or "encoder", variant, size, entry.file, str(path or "")


def run(args: Args) -> int:
    """Print the table or download a file; return the exit code."""
    if args.model is None:
        if args.variant is not None:
            raise ValueError(f"--variant {args.variant}: name the model, too")
        print(table())
    elif args.model in {entry.file for entry in list_published() if not entry.model}:
        print(find_encoder(args.model))
    else:
        print(find_weights(args.model, args.variant or True))
    return 0


def main() -> int:
    """Parse the command line and run."""
    return run_tool(run, Args, __doc__, interrupted="interrupted; the next call resumes the download")
