"""Number of corrections that a video needs, for several rules that choose the frame to correct.

    python benchmarks/effort.py --dataset davis2017 --data_root D --plot docs/images/effort.svg

The first mask is given and propagated to the end. Then, until the mean J of all frames reaches the target, one frame at
a time gets its true mask, which is propagated both ways up to the nearest given frames, as on the annotation page. With
``--between half`` it is propagated up to the middle between them; with ``--between both``, masks between two given
frames are joined from both directions. The rules choose

- ``worst``: the frame with the lowest true J, which users can't know; no rule based on quality can do better,
- ``next``: the frame around which the network is least sure, as "Correct next" on the annotation page does,
- ``confidence``: the frame with the lowest confidence of an object,
- ``distance``: the middle of the longest stretch without a given mask,
- ``random``: any frame without a given mask.
"""

from __future__ import annotations

from common import Table, VideoArgs, region, save, true_mask  # isort: skip  (makes the project importable)

import statistics
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from tqdm import tqdm

from voskit.dataloaders.datasets import Video
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.annotation.correction import next_correction
from voskit.evaluators.fusion import propagate_between

Curves = dict[str, dict[str, list[list[float]]]]
"""Mean J before the first correction and after each, by video, rule and run."""
COLORS = {"worst": "#000000", "next": "#009e73", "confidence": "#0072b2", "distance": "#d55e00", "random": "#999999"}


@dataclass(frozen=True, kw_only=True)
class Args(VideoArgs):
    """Count the corrections that a video needs."""

    choices: tuple[str, ...] = ("worst", "next", "confidence", "distance", "random")
    target: float = 0.9
    """Mean J of all frames and objects at which a video is finished."""
    most: int = 12
    """Maximum number of corrections of a video."""
    frames: int | None = None
    """Use the first frames only. Default: all."""
    seeds: int = 3
    """Number of runs of ``random``, which are averaged."""
    between: Literal["last", "half", "both"] = "last"
    """Source of the masks between two given frames: the frame given last, the nearer one, or both."""
    plot: Path | None = None


@dataclass
class State:
    """Masks of a video during its annotation.

    Attributes:
        masks: H x W ids of each frame.
        confidence: lowest confidence of an object in each frame; 1 for given frames.
        given: numbers of the frames whose true masks were given.
    """

    masks: list[np.ndarray]
    confidence: list[float]
    given: list[int] = field(default_factory=list)

    @property
    def open(self) -> list[int]:
        """Numbers of the frames whose masks weren't given."""
        return [number for number in range(len(self.masks)) if number not in self.given]


class Clip:
    """Frames and true masks of a video, and the propagation between given frames.

    Args:
        video: a video with a true mask for every frame.
        segmenter: propagates masks.
        count: number of frames; None: all.
        between: see ``Args.between``.

    Raises:
        ValueError: a frame has no true mask.
    """

    def __init__(self, video: Video, segmenter: VideoSegmenter, count: int | None, between: str = "last") -> None:
        self.segmenter = segmenter
        self.between = between
        self.video = video
        names = video.frame_names[:count]
        if missing := [name for name in names if name not in video.truth_frames]:
            raise ValueError(f"video {video.name}: frame {missing[0]} has no true mask")
        with video.source() as source:
            self.frames = [frame.image for frame, _ in zip(source, names, strict=False)]
        self.truth = [true_mask(video, name) for name in names]
        self.ids = [int(k) for k in np.unique(self.truth[0]) if k]

    def begin(self) -> State:
        """Give the first mask and propagate it to the end."""
        state = State([np.zeros_like(mask) for mask in self.truth], [1.0] * len(self.truth))
        self.correct(state, 0)
        return state

    def correct(self, state: State, number: int) -> None:
        """Give the true mask of a frame, and propagate it both ways."""
        state.masks[number], state.confidence[number] = self.truth[number], 1.0
        before = max((g for g in state.given if g < number), default=-1)
        after = min((g for g in state.given if g > number), default=len(self.frames))
        state.given.append(number)
        ends = [(before, before >= 0), (after, after < len(self.frames))]
        for end, given in ends:
            if given and self.between == "both":
                self._join(state, *sorted((number, end)))
                continue
            if given and self.between == "half":
                end = (number + end + (end > number)) // 2
            self._propagate(state, number, range(number, end, 1 if end > number else -1)[1:])
        self.segmenter.reset()

    def _propagate(self, state: State, number: int, numbers: Sequence[int]) -> None:
        if not numbers:
            return
        self.segmenter.reset()
        self.segmenter.step(self.frames[number], self.truth[number], complete=True)
        for at in numbers:
            self._record(state, at, self.segmenter.step(self.frames[at]))

    def _join(self, state: State, low: int, high: int) -> None:
        """Join both directions between two given frames."""
        masks = self.truth[low], self.truth[high]
        with self.video.source() as source, tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder) / "directions"
            for frame, ids in propagate_between(self.segmenter, source, masks, (low, high), scratch):
                self._record(state, frame.index, ids)

    def _record(self, state: State, number: int, ids: np.ndarray) -> None:
        """Record a propagated mask and the confidence of the segmenter's last frame."""
        state.masks[number] = ids
        qualities = self.segmenter.quality.values()
        state.confidence[number] = min((quality.confidence for quality in qualities), default=1.0)

    def accuracy(self, state: State) -> list[float]:
        """Return the mean J over objects of each frame."""
        pairs = zip(state.masks, self.truth, strict=True)
        return [statistics.fmean(region(mask == k, true == k) for k in self.ids) for mask, true in pairs]


def lowest(values: Sequence[float], numbers: Sequence[int]) -> int:
    """Return the number with the lowest value; of equal values, the first."""
    return min(numbers, key=lambda number: values[number])


def least_sure_around(state: State) -> int:
    """Return the frame around which the network is least sure."""
    chosen = next_correction({number: {1: state.confidence[number]} for number in state.open})
    assert chosen is not None
    return chosen[0]


def middle(state: State) -> int:
    """Return the middle of the longest stretch without a given mask."""
    edges = sorted(state.given)
    stretches = list(zip(edges, [*edges[1:], len(state.masks)], strict=True))
    begin, end = max(stretches, key=lambda s: s[1] - s[0])
    return (begin + end) // 2


def corrections(clip: Clip, begin: State, choose: Callable[[State], int], args: Args) -> list[float]:
    """Correct until the target is reached, and return the mean J before the first correction and after each."""
    state = State(list(begin.masks), list(begin.confidence), list(begin.given))
    reached = [statistics.fmean(clip.accuracy(state))]
    while reached[-1] < args.target and len(reached) <= args.most and state.open:
        clip.correct(state, choose(state))
        reached.append(statistics.fmean(clip.accuracy(state)))
    return reached


def choosers_of(choice: str, clip: Clip, name: str, args: Args) -> list[Callable[[State], int]]:
    """Return functions that choose the next frame by a rule, one for each run."""
    if choice == "worst":
        return [lambda state: lowest(clip.accuracy(state), state.open)]
    if choice == "next":
        return [least_sure_around]
    if choice == "confidence":
        return [lambda state: lowest(state.confidence, state.open)]
    if choice == "distance":
        return [middle]
    if choice != "random":
        raise ValueError(f"--choices {choice}: choose among {', '.join(COLORS)}")
    generators = [np.random.default_rng((seed, zlib.crc32(name.encode()))) for seed in range(args.seeds)]
    return [lambda state, rng=rng: int(rng.choice(state.open)) for rng in generators]  # type: ignore[misc]


def measure(args: Args) -> Curves:
    """Return the mean J after each number of corrections, by video, rule and run."""
    videos, segmenter = args.open_videos(), args.build_segmenter()
    curves: Curves = {}
    for video in tqdm(videos, unit="video"):
        clip = Clip(video, segmenter, args.frames, args.between)
        begin = clip.begin()
        curves[video.name] = {
            choice: [corrections(clip, begin, choose, args) for choose in choosers_of(choice, clip, video.name, args)]
            for choice in args.choices
        }
    return curves


def mean_count(curves: list[list[float]]) -> float:
    """Return the mean number of corrections over runs; a run that missed the target counts those that it made."""
    return statistics.fmean(len(curve) - 1 for curve in curves)


def mean_curve(curves: Curves, choice: str, most: int) -> list[float]:
    """Return the mean J over videos and runs after 0, 1, ... corrections; a finished video keeps its J."""
    runs = [curve for by_choice in curves.values() for curve in by_choice[choice]]
    return [statistics.fmean(curve[min(k, len(curve) - 1)] for curve in runs) for k in range(most + 1)]


def draw(means: dict[str, list[float]], target: float, path: Path) -> None:
    """Plot mean J against corrections, as SVG."""
    left, top, width, height = 70, 30, 440, 250
    most = len(next(iter(means.values()))) - 1
    values = [value for curve in means.values() for value in curve]
    low = np.floor(10 * min(values)) / 10
    high = max(np.ceil(10 * max(values)) / 10, low + 0.1)
    parts = []
    for tick in np.arange(low, high + 0.01, 0.1 if high - low > 0.25 else 0.05):
        y = top + height * (high - tick) / (high - low)
        parts.append(f'<path d="M{left} {y:.1f}h{width}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.2f}</text>')
    if target <= high:
        y = top + height * (high - target) / (high - low)
        parts.append(f'<path d="M{left} {y:.1f}h{width}" stroke="#222" stroke-dasharray="5 4"/>')
    for k in range(most + 1):
        x = left + width * k / most
        parts.append(f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">{k}</text>')
    for at, (choice, curve) in enumerate(means.items()):
        places = [(left + width * k / most, top + height * (high - j) / (high - low)) for k, j in enumerate(curve)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        color, y = COLORS[choice], top + 20 + 22 * at
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        parts.append(f'<path d="M{left + width + 20} {y}h24" stroke="{color}" stroke-width="2.5"/>')
        parts.append(f'<text x="{left + width + 50}" y="{y + 4}">{escape(choice)}</text>')
    middle = top + height / 2
    parts.append(f'<text transform="translate(24 {middle}) rotate(-90)" text-anchor="middle">mean J</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 38}" text-anchor="middle">corrected frames</text>')
    style = 'font-family="sans-serif" font-size="12" fill="#222"'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 330" {style}>'
        f'<rect width="640" height="330" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def main(args: Args) -> None:
    """Measure all videos."""
    torch.set_num_threads(args.threads)
    curves = measure(args)
    table = Table(video="", **{"J at first": ".3f"}, **dict.fromkeys(args.choices, ".1f"))
    for name, by_choice in curves.items():
        first = next(iter(by_choice.values()))[0][0]
        table.add({"video": name, "J at first": first, **{c: mean_count(runs) for c, runs in by_choice.items()}})
    means = {c: statistics.fmean(mean_count(by_choice[c]) for by_choice in curves.values()) for c in args.choices}
    first = statistics.fmean(row["J at first"] for row in table.rows)
    table.add({"video": "mean", "J at first": first, **means})
    mean_curves = {choice: mean_curve(curves, choice, args.most) for choice in args.choices}
    by_count = Table(corrections="d", **dict.fromkeys(args.choices, ".3f"))
    for k in range(args.most + 1):
        by_count.add({"corrections": k, **{choice: curve[k] for choice, curve in mean_curves.items()}})
    save("effort", args, rows=table.rows, mean_J=mean_curves, curves=curves)
    if args.plot is not None:
        draw(mean_curves, args.target, args.plot)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
