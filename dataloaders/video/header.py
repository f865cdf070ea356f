"""Number of frames and duration that a video's container states, to detect truncated files.

FFmpeg ends silently at the end of a truncated file, so the frames that were read are compared with the header.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av.error

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Containers that state their duration, and by how many seconds their writers get it wrong.
_STATED_DURATION = {"matroska": 0.0, "mov": 1.0, "flv": 1.0, "asf": 1.0}
_GUESSED_DURATIONS = ("mpeg", "mpegts", "rtp", "rtsp")  # FFmpeg guesses the durations of their packets
_AUDIO_SLACK = 0.1  # codec delay makes audio end a little before the stated duration


@dataclass(frozen=True, kw_only=True)
class VideoHeader:
    """Facts that a container states about its video; None if it doesn't state them.

    Attributes:
        fps: average frame rate; None if only FFmpeg's guess is known, which may be a common multiple of the rates.
        constant_rate: all intervals in the table of frames are equal, so ``fps`` is exact.
        num_frames: number of frames.
        packets: number of packets of the video stream.
        seconds: time at which the data must end.
        slack: seconds by which the data may end earlier.
        video_only: ``seconds`` is that of the video stream; otherwise that of the longest stream.
    """

    fps: float | None
    constant_rate: bool = False
    num_frames: int | None = None
    packets: int | None = None
    seconds: float | None = None
    slack: float = 0.0
    video_only: bool = False

    def missing(self, *, packets: int, end: float, longest_gap: float, last_has_duration: bool) -> str | None:
        """Describe the evidence that the data read so far is incomplete; None if there is none.

        Args:
            packets: packets of the video stream that were read.
            end: time in seconds at which the last packet ends, of the streams that ``seconds`` is about.
            longest_gap: longest interval between two frames, in seconds.
            last_has_duration: the last packet states its duration, so ``end`` is exact.
        """
        if self.packets is not None and packets < self.packets:
            return f"the file states {self.packets} frames"
        if self.seconds is not None:
            regular = self.fps is not None and longest_gap <= 1.5 / self.fps
            slack = max(self.slack, longest_gap * (0.5 if regular and last_has_duration else 1.5))
            if end < self.seconds - slack:
                return f"the file states {self.seconds:.2f} s and its data ends at {end:.2f} s"
        return None


def read_header(container: InputContainer, stream: VideoStream) -> VideoHeader:
    """Read the header of an opened container for one of its video streams."""
    rate = stream.average_rate
    fps = float(rate) if rate else None
    formats = container.format.name.split(",")
    if stream.frames > 0 and "avi" in formats:  # counts empty frames that aren't decoded, so only the time is reliable
        seconds = stream.frames / fps if fps else None
        constant = fps is not None
        shown = _shown_frames(stream)
        return VideoHeader(fps=fps, constant_rate=constant, num_frames=shown, seconds=seconds, video_only=True)
    if stream.frames > 0:
        packets = len(stream.index_entries) or stream.frames
        constant = fps is not None and _equal_intervals([entry.timestamp for entry in stream.index_entries])
        return VideoHeader(fps=fps, constant_rate=constant, num_frames=_shown_frames(stream), packets=packets)
    slack = next((_STATED_DURATION[name] for name in formats if name in _STATED_DURATION), None)
    if slack is None or not container.duration:
        return VideoHeader(fps=fps)
    if container.streams.audio:
        slack = max(slack, _AUDIO_SLACK)
    return VideoHeader(fps=fps, seconds=container.duration / 1e6, slack=slack)


def _equal_intervals(times: list[int]) -> bool:
    gaps = [after - before for before, after in itertools.pairwise(times)]
    return bool(gaps) and max(gaps) <= 1.5 * min(gaps)


def states_durations(container: InputContainer) -> bool:
    """True if the durations of packets are the container's, not FFmpeg's guesses."""
    return container.format.name not in _GUESSED_DURATIONS


def mean_rate(container: InputContainer, stream: VideoStream) -> float | None:
    """Read all packets of a video stream without decoding; return its mean frame rate, None for fewer than 2 frames."""
    first, last, end, count = math.inf, -math.inf, -math.inf, 0
    base, exact = float(stream.time_base or 0), states_durations(container)
    try:
        for packet in container.demux(stream):
            if packet.pts is None or not packet.size:
                continue
            count += 1
            first, last = min(first, packet.pts * base), max(last, packet.pts * base)
            end = max(end, (packet.pts + packet.duration) * base if exact and packet.duration else last)
    except av.error.FFmpegError:  # damaged: reported when the frames are read
        pass
    if count < 2 or last <= first:
        return None
    end = max(end, last + (last - first) / (count - 1)) if end <= last else end
    rate = count / (end - first)
    average = stream.average_rate
    return float(average) if average and abs(float(average) - rate) < 0.02 * rate else rate


def _shown_frames(stream: VideoStream) -> int | None:
    """Return the stated number of frames; None if some are hidden (by an edit list in mp4, empty frames in avi)."""
    shown = sum(not entry.is_discard and entry.size > 0 for entry in stream.index_entries)
    return stream.frames if shown in (0, stream.frames) else None
