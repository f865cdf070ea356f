"""Export of objects as videos with alpha, or in front of a green screen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import cv2
import numpy as np

from voskit.evaluators.clips.video.formats import H264, PRORES_4444, VP9_ALPHA, VideoFormat
from voskit.evaluators.clips.video.writer import DEFAULT_FPS, VideoWriter
from voskit.evaluators.exports.base import EXPORTS, incomplete_name
from voskit.evaluators.exports.by_object import MatteExport, Moment
from voskit.evaluators.exports.frames import FULL, ExportFrame

_MARGIN = 33  # pixels; two blocks of 16


class VideoExport(MatteExport):
    """Video format, with the times, pixel aspect ratio and audio of the source."""

    kind: ClassVar[VideoFormat]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind.alpha:  # other formats have a second encoder
            self.kind.check_encoder()

    def open(self, label: str) -> VideoWriter:
        fps = self.clip.fps or self.clip.source_fps or DEFAULT_FPS
        return VideoWriter(self.path / f"{label}{self.kind.suffix}", fps, playback=self.clip.playback, kind=self.kind)

    def put(self, sequence: Any, moment: Moment, frame: ExportFrame | None, key: int) -> None:
        opacity = self.whole_opacity(frame, key)
        image = np.zeros((*opacity.shape, 3), np.uint8) if frame is None else frame.frame.image
        time, duration = (moment.time, moment.duration) if self.clip.fps is None else (None, None)
        sequence.write(self.composed(image, opacity), time, duration)

    def finish(self, sequence: Any, complete: bool) -> None:
        if not complete:
            sequence.path = incomplete_name(sequence.path)
        sequence.close(rest_of_audio=self.clip.whole and complete)

    def composed(self, image: np.ndarray, opacity_HW: np.ndarray) -> np.ndarray:
        """Return the picture of a frame, with straight alpha: H x W x 4 uint16.

        Near the objects, the frame's colors stay, because compression mixes neighboring pixels; farther away, all is
        black.
        """
        near = cv2.dilate((opacity_HW > 0).astype(np.uint8), np.ones((_MARGIN, _MARGIN), np.uint8))
        color = (image * near[..., None]).astype(np.uint16) * np.uint16(257)
        return np.concatenate([color, opacity_HW[..., None]], axis=2)


@EXPORTS.register("prores4444")
@dataclass(kw_only=True)
class ProresExport(VideoExport):
    """``prores4444/<clip>.mov``: ProRes 4444 with straight alpha; ``objects=each``: a file for each object."""

    objects: str = "together"
    edges: str = "soft"
    black: float = 0.1
    white: float = 0.9

    output = "prores4444"
    kind = PRORES_4444


@EXPORTS.register("webm-alpha")
@dataclass(kw_only=True)
class WebmExport(VideoExport):
    """``webm-alpha/<clip>.webm``: VP9 with alpha, for browsers; ``crf`` is its quality, 0 (best) to 63."""

    objects: str = "together"
    edges: str = "soft"
    black: float = 0.1
    white: float = 0.9
    crf: int = 24

    output = "webm-alpha"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.crf <= 63:
            raise ValueError(f"crf must be between 0 and 63, not {self.crf}")

    @property
    def kind(self) -> VideoFormat:  # type: ignore[override]
        return replace(VP9_ALPHA, options={**VP9_ALPHA.options, "crf": str(self.crf)})


@EXPORTS.register("greenscreen")
@dataclass(kw_only=True)
class GreenScreenExport(VideoExport):
    """``greenscreen/<clip>.mp4``: H.264, the objects in front of one color; ``color`` is its hexadecimal RGB."""

    objects: str = "together"
    edges: str = "soft"
    black: float = 0.1
    white: float = 0.9
    color: str = "00b140"

    output = "greenscreen"
    kind = H264

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            self._color = np.array(list(bytes.fromhex(self.color)), np.float32)
        except ValueError:
            self._color = np.zeros(0, np.float32)
        if len(self._color) != 3:
            raise ValueError(f"color must be six hexadecimal digits such as 00b140, not {self.color}")

    def composed(self, image: np.ndarray, opacity_HW: np.ndarray) -> np.ndarray:
        share = opacity_HW[..., None].astype(np.float32) / FULL
        return np.rint(image * share + self._color * (1 - share)).astype(np.uint8)
