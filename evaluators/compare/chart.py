"""Chart of a comparison: J along the videos, and J&F of each video."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from voskit.evaluators.compare.figures import BINS, Figures

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933")  # Okabe and Ito
_MOST_VIDEOS = 30
_WIDTH, _ROW, _TOP, _CURVE = 1000, 18, 46, 220  # pixels


def draw_chart(figures: Mapping[str, Mapping[str, Figures]]) -> str:
    """Return an SVG with two panels for each dataset: mean J in each tenth of the videos, and J&F by video.

    If there are more than 30 videos, the right panel shows those whose J&F differs most between the runs.

    Args:
        figures: by dataset and run. A run has the same color in all panels.
    """
    runs = list(dict.fromkeys(run for by_run in figures.values() for run in by_run))
    colors = {run: _COLORS[at % len(_COLORS)] for at, run in enumerate(runs)}
    parts, top = [_legend(colors)], 24 * math.ceil(len(runs) / 2) + 16
    for dataset, by_run in figures.items():
        videos = _shown(by_run)
        parts.append(_text(_WIDTH / 2, top + 20, dataset, anchor="middle", bold=True))
        parts.append(_curves(by_run, colors, top + _TOP))
        parts.append(_dots(by_run, videos, colors, top + _TOP))
        top += _TOP + max(_CURVE, _ROW * len(videos)) + 50
    style = 'font-family="sans-serif" font-size="12" fill="#222"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" {style}>'
        f'<rect width="{_WIDTH}" height="{top}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _shown(by_run: Mapping[str, Figures]) -> list[str]:
    """Return the videos to show in the right panel."""
    values = {video: [f.videos[video] for f in by_run.values()] for video in next(iter(by_run.values())).videos}
    spread = sorted(values, key=lambda video: min(values[video]) - max(values[video]))
    chosen = set(spread[:_MOST_VIDEOS])
    return [video for video in values if video in chosen]


def _legend(colors: Mapping[str, str]) -> str:
    parts = []
    for at, (run, color) in enumerate(colors.items()):
        x, y = 60 + 470 * (at % 2), 20 + 24 * (at // 2)
        parts.append(f'<circle cx="{x}" cy="{y}" r="5" fill="{color}"/>{_text(x + 12, y + 4, run)}')
    return "".join(parts)


def _curves(by_run: Mapping[str, Figures], colors: Mapping[str, str], top: float) -> str:
    """Draw the left panel, with a vertical axis between the multiples of ten around the values."""
    left, width = 70.0, 360.0
    values = [value for f in by_run.values() for value in f.curve if not math.isnan(value)]
    low, high = 10 * math.floor(min(values, default=0) / 10), 10 * math.ceil(max(values, default=100) / 10)
    high = max(high, low + 10)
    parts = [_text(left + width / 2, top + _CURVE + 36, "tenth of the video", anchor="middle")]
    middle = top + _CURVE / 2
    parts.append(f'<text transform="translate(28 {middle}) rotate(-90)" text-anchor="middle">mean J</text>')
    for tick in range(low, high + 1, 10 if high - low < 60 else 20):
        y = top + _CURVE * (high - tick) / (high - low)
        parts.append(f'<path d="M{left} {y:.1f}h{width}" stroke="#ddd"/>' + _text(left - 8, y + 4, str(tick), "end"))
    xs = [left + width * (at + 0.5) / BINS for at in range(BINS)]
    parts += [_text(x, top + _CURVE + 18, str(at + 1), "middle") for at, x in enumerate(xs)]
    for run, f in by_run.items():
        points = [
            f"{x:.1f},{top + _CURVE * (high - value) / (high - low):.1f}"
            for x, value in zip(xs, f.curve, strict=True)
            if not math.isnan(value)
        ]
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colors[run]}" stroke-width="2"/>')
    return "".join(parts)


def _dots(by_run: Mapping[str, Figures], videos: Sequence[str], colors: Mapping[str, str], top: float) -> str:
    """Draw the right panel."""
    left, width = 640.0, 320.0
    height = _ROW * len(videos)
    parts = [_text(left + width / 2, top + height + 36, "J&F", anchor="middle")]
    for tick in range(0, 101, 20):
        x = left + width * tick / 100
        parts.append(
            f'<path d="M{x:.1f} {top}v{height}" stroke="#ddd"/>' + _text(x, top + height + 18, str(tick), "middle")
        )
    for at, video in enumerate(videos):
        y = top + _ROW * (at + 0.5)
        parts.append(_text(left - 10, y + 4, video[:28], "end"))
        for run, f in by_run.items():
            x = left + width * f.videos[video] / 100
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colors[run]}" fill-opacity="0.8"/>')
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str = "start", *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
