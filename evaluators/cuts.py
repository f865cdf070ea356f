"""Scene cuts: detection in a stream of frames, and lists of them in files."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch

from voskit.dataloaders.files import read_text

_SIZE = (64, 36)  # width and height of the compared pictures
_BINS = (8, 4, 4)  # of hue, saturation, value
_SHIFT = (10, 6)  # maximum shift between two frames of a shot, in pixels of that size
_LEAST = 0.22
_RATIO = 2.5
_RECENT = 5


def checked_cuts(cuts: Literal["auto"] | Collection[int]) -> Literal["auto"] | frozenset[int]:
    """Return the frames that begin a shot, or ``"auto"``. Raises ValueError unless they are numbers from 0 on."""
    if isinstance(cuts, str) and cuts == "auto":
        return cuts
    try:
        numbers = [operator.index(number) for number in cuts]  # type: ignore[arg-type]
    except TypeError:
        numbers = [-1]
    if any(number < 0 for number in numbers):
        raise ValueError(f"cuts must be 'auto', a collection of frame numbers from 0 on, or None, got {cuts!r}")
    return frozenset(numbers)


class CutDetector:
    """Scene-cut detector that compares small copies of consecutive frames.

    The distance of two frames is the product of the distance of their color histograms (1 minus the overlap) and that
    of their structure (1 minus the normalized correlation of gray values at the best shift). A cut is a distance of at
    least 0.22 that is also 2.5 times the mean of the five before it, so fast motion doesn't count as a cut.
    """

    def __init__(self) -> None:
        self.before: tuple[np.ndarray, np.ndarray] | None = None
        """Histogram and gray picture of the last frame."""
        self.recent: deque[float] = deque(maxlen=_RECENT)
        """Distances of the last frames of the shot."""

    def starts_shot(self, frame_HW3: np.ndarray) -> bool:
        """Return True if a frame begins a new shot; False for the first frame.

        Args:
            frame_HW3: uint8 RGB.
        """
        small = cv2.resize(frame_HW3, _SIZE, interpolation=cv2.INTER_AREA)
        hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
        colors = cv2.calcHist([hsv], [0, 1, 2], None, _BINS, [0, 180, 0, 256, 0, 256])
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        before, self.before = self.before, (colors / small[..., 0].size, gray)
        if before is None:
            return False
        overlap = float(np.minimum(before[0], self.before[0]).sum())
        distance = (1 - overlap) * _structural_distance(before[1], gray)
        usual = sum(self.recent) / len(self.recent) if self.recent else 0.0
        cut = distance >= _LEAST and distance >= _RATIO * usual
        if cut:
            self.recent.clear()
        else:
            self.recent.append(distance)
        return cut


class Shots:
    """Cuts of one video, detected or listed.

    Args:
        cuts: ``"auto"``, or the numbers of the frames that begin a shot, counted from 0.
    """

    def __init__(self, cuts: Literal["auto"] | Collection[int]) -> None:
        self._known = None if isinstance(cuts, str) else cuts
        self._detector = CutDetector()
        self._number = -1
        self.cuts: list[int] = []
        """Numbers of the frames so far that began a shot."""

    def state(self) -> dict[str, Any]:
        """Return the state between two frames as plain values and tensors."""
        before = self._detector.before
        seen = None if before is None else [torch.from_numpy(x) for x in before]
        return {"number": self._number, "cuts": self.cuts, "before": seen, "recent": list(self._detector.recent)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self._number, self.cuts = state["number"], list(state["cuts"])
        seen = state["before"]
        self._detector.before = None if seen is None else (seen[0].cpu().numpy(), seen[1].cpu().numpy())
        self._detector.recent.clear()
        self._detector.recent.extend(state["recent"])

    def starts_shot(self, frame_HW3: np.ndarray) -> bool:
        """Return True if the next frame of the video begins a shot."""
        self._number += 1
        if self._known is not None:
            cut = self._number > 0 and self._number in self._known
        else:
            cut = self._detector.starts_shot(frame_HW3)
        if cut:
            self.cuts.append(self._number)
        return cut


def _structural_distance(before_HW: np.ndarray, gray_HW: np.ndarray) -> float:
    """Return 1 minus the best correlation over shifts, 0 to 1; 1 if a picture has a single gray value."""
    width, height = _SHIFT
    inside = before_HW[height:-height, width:-width]
    if inside.std() < 1 or gray_HW.std() < 1:
        return 0.0 if abs(float(inside.mean() - gray_HW.mean())) < 8 else 1.0
    return float(np.clip(1 - cv2.matchTemplate(gray_HW, inside, cv2.TM_CCOEFF_NORMED).max(), 0, 1))


def read_cuts(path: Path) -> frozenset[int]:
    """Read the numbers of the frames that begin a shot, counted from 0, one per line; ``#`` begins a comment.

    Raises:
        ValueError: a line isn't such a number; the message names it.
        OSError: the file can't be read.
    """
    numbers = set()
    for place, line in enumerate(read_text(path).splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text and not text.isdecimal():
            raise ValueError(
                f"{path}:{place}: {text!r} is not a frame number: give one number per line, counted from 0"
            )
        if text:
            numbers.add(int(text))
    return frozenset(numbers)
