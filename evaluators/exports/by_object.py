"""Base classes of exports with a sequence of pictures for each object, or one for all objects together."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voskit.dataloaders.files import make_folder
from voskit.evaluators.exports.base import Export, ExportClip, check_choice
from voskit.evaluators.exports.frames import FULL, ExportFrame, Region

TOGETHER = 0
"""Key of the sequence of all objects; no object has id 0."""


@dataclass(frozen=True)
class Moment:
    """Name and time of a frame."""

    name: str
    time: float | None
    duration: float | None


class SequenceExport(Export):
    """Format with a picture for each frame: of each object, or of all together.

    All sequences have all frames: an object that appears late has empty pictures until then.
    """

    objects: str = "each"

    def __post_init__(self) -> None:
        check_choice("objects", self.objects, ("each", "together"))

    def start(self, clip: ExportClip, folder: Path) -> None:
        super().start(clip, folder)
        self._moments: list[Moment] = []
        self._sequences: dict[int, Any] = {}

    def write(self, frame: ExportFrame) -> None:
        frame = frame if self.soft else frame.hard
        moment = Moment(frame.frame.name, frame.frame.time, frame.frame.duration)
        appear = [TOGETHER] if self.objects == "together" else self._visible(frame)
        for key in appear:
            if key not in self._sequences:
                self._sequences[key] = sequence = self.open(self._label(key))
                for earlier in self._moments:
                    self.put(sequence, earlier, None, TOGETHER)
        for key, sequence in self._sequences.items():
            self.put(sequence, moment, frame, key)
        self._moments.append(moment)

    def close(self, *, complete: bool = True) -> None:
        make_folder(self.path)  # still missing if no object appeared
        for sequence in self._sequences.values():
            self.finish(sequence, complete)

    @abstractmethod
    def open(self, label: str) -> Any:
        """Start a sequence. ``label`` is its file name without suffix: the object's, or the clip's for all objects."""

    @abstractmethod
    def put(self, sequence: Any, moment: Moment, frame: ExportFrame | None, key: int) -> None:
        """Append the picture of an object (``TOGETHER``: of all) in a frame; ``frame`` None: an empty picture."""

    def finish(self, sequence: Any, complete: bool) -> None:
        """Complete a sequence; folders need nothing."""

    def _visible(self, frame: ExportFrame) -> list[int]:
        return sorted({*frame.regions, *(frame.mattes.objects if frame.mattes else ())})

    def _label(self, key: int) -> str:
        return file_name(self.clip.name) if key == TOGETHER else object_label(key, self.clip.names)


class MatteExport(SequenceExport):
    """Format with opacities: with soft edges from the network's probabilities, or with hard edges.

    Probabilities up to ``black`` are transparent, those from ``white`` on opaque, and those in between proportional.
    """

    edges: str = "soft"
    black: float = 0.1
    white: float = 0.9

    @property
    def soft(self) -> bool:
        return self.edges == "soft"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("edges", self.edges, ("soft", "hard"))
        if not 0 <= self.black < self.white <= 1:
            raise ValueError(f"black and white must be 0 <= black < white <= 1, not {self.black:g} and {self.white:g}")

    def opacity(self, frame: ExportFrame, key: int) -> Region | None:
        """Return an object's opacity, uint16 from 0 to 65535; None: it isn't visible."""
        if key == TOGETHER:
            matte: Region | None = Region(0, 0, frame.matte_together())
        else:
            matte = frame.matte(key)
        if matte is None or frame.mattes is None:
            return matte
        low, high = self.black * FULL, self.white * FULL
        values = np.clip((matte.values.astype(np.float32) - low) * (FULL / (high - low)), 0, FULL)
        return Region(matte.top, matte.left, np.rint(values).astype(np.uint16))

    def whole_opacity(self, frame: ExportFrame | None, key: int) -> np.ndarray:
        """Return an object's opacity in the whole frame, H x W uint16."""
        canvas = np.zeros(self.clip.size, np.uint16)
        matte = None if frame is None else self.opacity(frame, key)
        return canvas if matte is None else matte.paste(canvas)


def object_label(object_id: int, names: Mapping[int, str]) -> str:
    """Return an object's id and name as part of a file name: ``3_red_car``, or ``3``."""
    return f"{object_id}_{file_name(names[object_id])}" if names.get(object_id) else str(object_id)


def file_name(text: str) -> str:
    """Replace characters that aren't allowed in file names or are special in shells."""
    return re.sub(r"[^\w.-]+", "_", text).strip("_")[:80] or "_"
