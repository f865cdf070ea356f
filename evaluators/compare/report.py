"""Tables of a comparison: text, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from voskit.dataloaders.files import atomic_write_text
from voskit.evaluators.compare.chart import draw_chart
from voskit.evaluators.compare.figures import COLUMNS, Figures
from voskit.evaluators.metrics.report import without_nan

FiguresByRun = Mapping[str, Figures]


def write_report(
    figures: Mapping[str, FiguresByRun], failures: Mapping[str, Mapping[str, str]], output: Path
) -> list[Path]:
    """Write ``comparison.json``, ``.csv``, ``.md`` and ``.svg``.

    Args:
        figures: by dataset and run.
        failures: error messages by dataset and run.
        output: an existing folder.

    Returns:
        the paths of the files.

    Raises:
        OSError: a file can't be written.
    """
    content = {
        dataset: {run: {"figures": f.row, "videos": f.videos, "curve": f.curve} for run, f in by_run.items()}
        for dataset, by_run in figures.items()
    }
    texts = {
        "json": json.dumps(without_nan({"datasets": content, "failures": failures}), indent=1) + "\n",
        "csv": _csv(figures),
        "md": _markdown(figures, failures),
        "svg": draw_chart(figures),
    }
    for suffix, text in texts.items():
        atomic_write_text(output / f"comparison.{suffix}", text)
    return [output / f"comparison.{suffix}" for suffix in texts]


def table_text(figures: Mapping[str, FiguresByRun]) -> str:
    """Return the table as aligned text."""
    rows = _rows(figures)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        names = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        values = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join([*names, *values]).rstrip())
    return "\n".join(lines)


def _rows(figures: Mapping[str, FiguresByRun]) -> list[list[str]]:
    """Return the header and rows of the table."""
    rows = [["dataset", "run", *(column.title for column in COLUMNS.values())]]
    for dataset, by_run in figures.items():
        for run, each in by_run.items():
            rows.append([dataset, run, *(_cell(each.row[key], column.spec) for key, column in COLUMNS.items())])
    return rows


def _cell(value: float, spec: str) -> str:
    return "-" if math.isnan(value) else format(value, spec)


def _markdown(figures: Mapping[str, FiguresByRun], failures: Mapping[str, Mapping[str, str]]) -> str:
    head, *rows = _rows(figures)
    parts = [_markdown_table(head, rows, texts=2)]
    for dataset, by_run in figures.items():
        runs = list(by_run)
        first = by_run[runs[0]].videos
        lines = [
            [video, _cell(first[video], ".1f")]
            + [_cell(by_run[run].videos[video] - first[video], "+.1f") for run in runs[1:]]
            for video in first
        ]
        title = f"J&F by video of {dataset}" + ("; other runs as differences from the first" if runs[1:] else "")
        parts.append(f"{title}\n\n{_markdown_table(['video', *runs], lines, texts=1)}")
    parts.append("\n".join(f"- **{column.title}**: {column.meaning}." for column in COLUMNS.values()))
    lost = [f"- {run} on {dataset}: {error}" for dataset, by_run in failures.items() for run, error in by_run.items()]
    if lost:
        parts.append("Failed:\n\n" + "\n".join(lost))
    return "\n\n".join(parts) + "\n"


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> str:
    """Return a table whose first ``texts`` columns are left-aligned."""
    rule = ["---" if at < texts else "---:" for at in range(len(head))]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in (head, rule, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _csv(figures: Mapping[str, FiguresByRun]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["dataset", "run", *COLUMNS])
    for dataset, by_run in figures.items():
        for run, each in by_run.items():
            cells = without_nan([each.row[key] for key in COLUMNS])
            writer.writerow([dataset, run, *("" if cell is None else cell for cell in cells)])
    return text.getvalue()
