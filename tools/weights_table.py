"""Table of published weights, with their sizes, file names and whether they are stored locally."""

from __future__ import annotations

from voskit.networks.weights import PRETRAINED, PublishedWeights, list_published, path_here, weights_folder


def weights_table() -> str:
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
