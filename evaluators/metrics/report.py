"""Score reports: a JSON file, a CSV file for each table, and a printed summary."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from voskit.dataloaders.datasets.layout import subfolders
from voskit.dataloaders.files import atomic_write_text, make_folder
from voskit.evaluators.clips.report import masks_folder
from voskit.evaluators.metrics.base import Scores

_PRINTED_ROWS = 40
_PRINTED_COLUMNS = 8

_OTHER_FILES = (
    ".csv",
    ".html",
    ".md",
    ".npz",
    ".png",
    ".pkl",
    ".tsv",
    ".txt",
    ".xlsx",
    ".xml",
    ".yaml",
    ".yml",
    ".zip",
)
"""Extensions of names that must be meant as files. Other names with a dot may be folders."""

Row = dict[str, Any]


def scores_path(output: Path | None, results: Path) -> Path:
    """Return the JSON file for the scores of ``results``, and create its folder.

    Args:
        output: a folder, or a file named ``*.json``; None: next to the masks, which is in the folder of an evaluation
            or a batch.
        results: the scored folder or file.

    Raises:
        ValueError: ``output`` has the extension of another type of file, or is the file of the results.
        OSError: the folder can't be created or written to.
    """
    if output is None:
        videos = subfolders(results) if results.is_dir() else []
        own = "Annotations" in videos or any(masks_folder(results, video) != results / video for video in videos)
        output = results if own else results.parent
    if output.is_dir() or output.suffix.lower() != ".json":
        if output.is_file() or (output.suffix.lower() in _OTHER_FILES and not output.is_dir()):
            raise ValueError(f"--output {output}: give a folder, or a file named *.json")
        output /= "scores.json"
    if output.exists() and results.exists() and output.samefile(results):
        raise ValueError(f"--output {output} is the file with the results: give another name")
    make_folder(output.parent)
    return output


def write_scores(scores: Scores, output: str | os.PathLike[str]) -> list[Path]:
    """Write scores to ``output`` and, next to it, each table to ``<stem>_<table>.csv``.

    The JSON file has ``dataset``, ``options`` and the tables, with numbers at full precision and null for NaN. The CSV
    files omit values per frame. Each file is written completely or not at all.

    Args:
        scores: the scores.
        output: a path that ends in ``.json``; missing folders are created.

    Returns:
        The paths of the files, JSON first.

    Raises:
        ValueError: ``output`` doesn't end in ``.json``.
        OSError: a file can't be written.
    """
    output = Path(output)
    if output.suffix.lower() != ".json":
        raise ValueError(f"{output}: scores are written as JSON: give a name that ends in .json")
    output.parent.mkdir(parents=True, exist_ok=True)
    content = {"dataset": scores.dataset, "options": scores.options, **scores.tables}
    written = [_write(output, json.dumps(without_nan(content), indent=1, allow_nan=False) + "\n")]
    for name, table in scores.tables.items():
        if rows := dict(table_rows(table)):
            written.append(_write(output.with_name(f"{output.stem}_{name}.csv"), _as_csv(rows)))
    return written


def without_nan(value: Any) -> Any:
    """Return a copy of nested data with None in place of NaN and infinity, which JSON can't store."""
    if isinstance(value, Mapping):
        return {str(key): without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table_rows(table: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, Row]]:
    """Yield the rows of a nested table: its innermost dictionaries, each with its path as the name."""
    row = {key: value for key, value in table.items() if not isinstance(value, Mapping | list | tuple)}
    if row:
        yield name or "all", row
        return
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from table_rows(value, f"{name}/{key}" if name else str(key))


def summary_text(scores: Scores) -> str:
    """Return the global figures, and those of each sequence, class or annotator, as aligned text."""
    chosen = _chosen(scores)
    options = "".join(f", {name} {value}" for name, value in scores.options.items())
    parts = [f"{scores.dataset}{options}", _aligned(chosen)]
    for name in ("per_sequence", "per_class", "per_annotator"):
        rows = dict(table_rows(scores.tables.get(name, {})))
        if rows:
            shown = dict(list(rows.items())[:_PRINTED_ROWS])
            parts.append(f"{name}\n{_aligned(shown)}")
            if len(rows) > len(shown):
                parts[-1] += f"\n... and {len(rows) - len(shown)} more"
    return "\n\n".join(parts)


def headline(scores: Scores) -> tuple[str, float]:
    """Return the name and value of the first figure that papers report."""
    row = next(iter(_chosen(scores).values()))
    return next(iter(row.items()))


def _chosen(scores: Scores) -> dict[str, Row]:
    """Return the global figures that papers report."""
    rows = dict(table_rows(scores.tables["global"]))
    if not scores.headline:
        return rows
    return {name: {key: row[key] for key in scores.headline if key in row} for name, row in rows.items()}


def _columns(rows: Mapping[str, Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows.values() for key in row))


def _as_csv(rows: Mapping[str, Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = _columns(rows)
    writer.writerow(["name", *columns])
    for name, row in rows.items():
        cells = without_nan([row.get(column) for column in columns])
        writer.writerow([name, *("" if cell is None else cell for cell in cells)])
    return text.getvalue()


def _aligned(rows: Mapping[str, Row]) -> str:
    columns = _columns(rows)[:_PRINTED_COLUMNS]
    lines = [["", *columns], *([name, *(_cell(row.get(column)) for column in columns)] for name, row in rows.items())]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns) + 1)]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join([cells[0].ljust(len(first)), *others]).rstrip()


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _write(path: Path, text: str) -> Path:
    atomic_write_text(path, text)
    return path
