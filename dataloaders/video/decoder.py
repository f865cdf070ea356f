"""Video decoding with FFmpeg (PyAV): video files, network streams, cameras.

FFmpeg ends silently at the end of a truncated file, so the frames that were read are compared with the container's
header: the number of frames (mp4, mov, avi) or the duration (mkv, webm, flv, asf). A file that states neither
(mpeg-ts, recordings of a browser or of a crashed recorder) and is cut exactly between two frames looks complete.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import numpy as np

from voskit.dataloaders.video.clock import FrameClock
from voskit.dataloaders.video.header import mean_rate, read_header, states_durations
from voskit.dataloaders.video.orientation import is_turned, upright_rgb
from voskit.dataloaders.video.seek import FrameIndex, seek_images
from voskit.dataloaders.video.source import Frame, FrameSource, Playback

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

logger = logging.getLogger(__name__)
_BACKWARD_BYTES = 2**26  # memory for frames that are read forward and returned in reverse


@dataclass(frozen=True, kw_only=True)
class VideoInput:
    """Input of FFmpeg: a file, stream or camera, with its options.

    Attributes:
        url: URL for FFmpeg.
        label: name in error messages, without passwords.
        name: name for outputs.
        format: input format of FFmpeg, if it can't be guessed (devices).
        options: options of FFmpeg for this input.
        timeout: seconds to open, and seconds per read; None: wait forever.
        live: skip damaged frames with a warning, and don't check the end. None: live if no duration is stated.
        skip_damaged: skip damaged data, and record it in the index. The end is still checked.
        rereadable: the input can be opened and read again.
    """

    url: str
    label: str
    name: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    timeout: tuple[float, float] | None = None
    live: bool | None = False
    skip_damaged: bool = False
    rereadable: bool = True


class VideoFrames(FrameSource):
    """Frames of one video, camera or stream, decoded on demand.

    Args:
        source: the input.
        fps: frame rate that replaces the times of the video; its audio is then out of step.

    Raises:
        ValueError: the input can't be opened, has no video stream, or no frame can be decoded.
    """

    def __init__(self, source: VideoInput, *, fps: float | None = None) -> None:
        self._source = source
        self._readers: list[_Reader] = []
        self._index = FrameIndex()
        self._closed = self._seek_failed = False
        reader = self._open()
        self._unread: _Reader | None = reader
        reader.log_choice()
        self.name = source.name
        self.path = None if "://" in source.url or source.format else Path(source.url.removeprefix("file:"))
        self.size = reader.size
        self._given_fps = fps
        self.num_frames = reader.header.num_frames
        self._header = reader.header
        self.playback = reader.playback if fps is None else replace(reader.playback, audio=None, time_base=None)

    @property
    def fps(self) -> float | None:
        return self._given_fps or self._mean_fps

    @cached_property
    def _mean_fps(self) -> float | None:
        """Mean frame rate of the video. Unless the container's table shows a constant one, all packets are read."""
        if self._header.constant_rate or not self._source.rereadable:
            return self._header.fps
        with _open_container(self._source) as container:
            return mean_rate(container, _video_stream(container, self._source.label)) or self._header.fps

    def __iter__(self) -> Iterator[Frame]:
        self._check_open()
        reader, self._unread = self._unread, None
        if reader is None:
            if not self._source.rereadable:
                raise ValueError(f"{self._source.label}: a camera or stream can be read only once: open it again")
            reader = self._open()
        return self._frames(reader)

    def between(self, first: int, last: int) -> Iterator[Frame]:
        self._check_open()
        self.check_rereadable()
        return self._between(first, last)

    def check_rereadable(self) -> None:
        if not self._source.rereadable:
            raise ValueError(
                f"{self._source.label}: a camera or stream can be read only once, and only forward: record it"
            )

    def name_of(self, number: int) -> str:
        return f"{number:05d}"

    def count(self) -> int:
        return sum(1 for _ in self)

    @property
    def index(self) -> FrameIndex:
        """Times and checksums of the frames read so far."""
        return self._index

    @index.setter
    def index(self, index: FrameIndex) -> None:
        self._index = index

    def packet_times(self) -> list[int]:
        """Return the presentation times of all packets, in the units of the stream, ascending."""
        with _open_container(self._source) as container:
            stream = _video_stream(container, self._source.label)
            return sorted({p.pts for p in container.demux(stream) if p.size and p.pts is not None and not p.is_discard})

    def _between(self, first: int, last: int) -> Iterator[Frame]:
        """Yield the frames of ``between``. In reverse, batches of frames are read forward, then reversed."""
        if first <= last:
            for number, image in enumerate(self._images(first, last), first):
                yield self._frame(number, image, *self._index.seconds(number))
            return
        height, width = self.size
        held = max(1, _BACKWARD_BYTES // (height * width * 3))
        for high in range(first, last - 1, -held):
            low = max(last, high - held + 1)
            images = list(self._images(low, high))
            while images:
                number = low + len(images) - 1
                yield self._frame(number, images.pop(), *self._index.seconds(number))

    def _images(self, first: int, last: int) -> Iterator[np.ndarray]:
        """Yield the pixels of frames ``first`` to ``last``."""
        if last >= len(self._index):
            for _ in itertools.islice(self, last + 1):  # fills the index
                pass
        if first < 0 or last >= len(self._index):
            missing = first if first < 0 else last
            raise ValueError(
                f"{self._source.label}: there is no frame {missing}, the last one is {len(self._index) - 1}"
            )
        with _open_container(self._source) as container:
            for image in seek_images(container, _video_stream(container, self._source.label), self._index, first, last):
                self._check_open()
                yield image
                first += 1
        if first <= last:
            if not self._seek_failed:
                self._seek_failed = True
                logger.warning("%s: can't seek, so the video is read from its start each time", self._source.label)
            yield from (frame.image for frame in itertools.islice(self, first, last + 1))

    def _frames(self, reader: _Reader) -> Iterator[Frame]:
        try:
            for number, image in enumerate(reader.images()):
                yield self._frame(number, image, *reader.seconds)
        finally:
            reader.close()

    def _frame(self, number: int, image: np.ndarray, time: float, duration: float | None) -> Frame:
        if self._given_fps is not None:
            time, duration = number / self._given_fps, 1 / self._given_fps
        return Frame(number, self.name_of(number), image, time, duration)

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"{self._source.label}: the source is closed: open it again to read its frames")

    def close(self) -> None:
        self._closed = True
        self._unread = None
        for reader in self._readers:
            reader.close()

    def _open(self) -> _Reader:
        self._readers = [reader for reader in self._readers if not reader.closed]
        self._readers.append(_Reader(self._source, self._index))
        return self._readers[-1]


class _Reader:
    """One pass through a container. Its first frame is decoded at once."""

    def __init__(self, source: VideoInput, index: FrameIndex) -> None:
        self.label = source.label
        self._index = index
        self._rereadable = source.rereadable
        self._skip_damaged = source.skip_damaged
        self.closed = False
        self.seconds: tuple[float, float | None] = (0.0, None)  # time and duration of the last frame
        self._container = _open_container(source)
        try:
            self._stream = _video_stream(self._container, self.label)
            self._others = [s for s in _pictures_in_motion(self._container) if s.index != self._stream.index]
            self._live = not self._container.duration if source.live is None else source.live
            self.header = read_header(self._container, self._stream)
            self._states_durations = states_durations(self._container)
            start = self._container.start_time
            self._clock = FrameClock(
                self.label,
                self._stream.time_base or Fraction(1, 25),
                None if start is None else start / 1e6,
                self.header.fps,
            )
            self._packets = self._damaged = self._count = 0
            self._last_has_duration = self._gap_seen = False
            self._end = self._video_end = 0.0  # seconds at which the last packet of any stream, and of the video, ends
            self._previous: tuple[float, float] | None = None  # seconds: start and duration of a frame
            self._longest_gap = 1 / self.header.fps if self.header.fps else 0.0
            self._pending = self._decode()
            self._first: np.ndarray | None = self._next_image()
            if self._first is None:
                raise ValueError(f"{self.label}: no frame of the video can be decoded: copy or export it again")
            self.size: tuple[int, int] = self._first.shape[:2]
            self.playback = self._playback(source)
        except BaseException:
            self.close()
            raise

    def log_choice(self) -> None:
        """Warn if there are several video streams, and name the one that is read."""
        if others := [f"{s.index} ({s.width}x{s.height})" for s in self._others if s.codec_context is not None]:
            own = f"{self._stream.index} ({self._stream.width}x{self._stream.height})"
            logger.warning("%s has several video streams: %s is read, not %s", self.label, own, ", ".join(others))

    def close(self) -> None:
        self.closed = True
        self._container.close()

    def images(self) -> Iterator[np.ndarray]:
        """Yield the frames, H x W x 3 uint8 each. Raises ValueError at the first one that is damaged or missing."""
        image, self._first = self._first, None
        while image is not None:
            self._count += 1
            self.seconds = self._next_seconds
            yield image
            image = None  # frees the frame as soon as the caller drops it
            if self.closed:
                raise ValueError(f"{self.label}: the source was closed while it was read")
            image = self._next_image()
        self._check_complete()

    def _next_image(self) -> np.ndarray | None:
        for frame in self._pending:
            if frame.is_corrupt:
                if self._skip_damaged:
                    self._index.damaged.add(self._count)
                elif not self._live:
                    raise self._damage("its data is damaged")
                else:
                    self._warn_damage("damaged data")
            self._watch_gaps(frame)
            self._warn_if_interlaced(frame)
            image = upright_rgb(frame)
            self._turned = is_turned(frame)
            size: tuple[int, int] = image.shape[:2]
            if self._count and size != self.size:
                raise ValueError(
                    f"{self.label}: frame {self._count} is {size[0]}x{size[1]} (height x width), the frames before it "
                    f"are {self.size[0]}x{self.size[1]}: cut or re-encode the video to one size"
                )
            base = float(self._stream.time_base or 0)
            duration = frame.duration * base if frame.duration and self._states_durations else None
            self._next_seconds = (self._clock.time(frame.pts), duration)
            if self._rereadable:  # a camera may run for weeks
                self._index.add(self._count, frame.pts, self._next_seconds, image)
            return image
        return None

    def _decode(self) -> Iterator[VideoFrame]:
        try:
            for packet in self._container.demux():
                if not packet.size:  # an empty packet (dropped frame, end of the stream) would flush the decoder
                    continue
                end = _end_of(packet)
                self._end = max(self._end, end)
                if packet.stream_index != self._stream.index:
                    continue
                self._video_end = max(self._video_end, end)
                self._packets += 1
                self._last_has_duration = bool(packet.duration)
                self._damaged += packet.is_corrupt
                yield from self._decode_packet(packet)
            yield from self._decode_packet(None)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            raise self._damage(_reason(error)) from error

    def _decode_packet(self, packet: av.Packet | None) -> list[VideoFrame]:
        try:
            return self._stream.decode(packet)
        except av.error.InvalidDataError as error:
            if self._skip_damaged:
                self._index.dropped = True
                return []
            if not self._live:
                raise
            self._warn_damage(_reason(error))  # common after joining a stream between two key frames
            return []

    def _watch_gaps(self, frame: VideoFrame) -> None:
        """Track the longest interval between two frames, and warn about gaps."""
        if frame.pts is None or self._live:
            return
        base = float(self._stream.time_base or 0)  # frames drained at the end have no time base
        previous, self._previous = self._previous, (frame.pts * base, (frame.duration or 0) * base)
        if previous is None:
            return
        time, duration = previous
        gap = self._previous[0] - time
        self._longest_gap = max(self._longest_gap, gap)
        states_frames = self.header.packets is not None or self.header.video_only
        if duration and round(gap / duration) > 2 and not states_frames and not self._gap_seen:
            self._gap_seen = True  # warn once: a video with a variable frame rate has many gaps
            logger.warning(
                "%s: frame %d comes %.3f s after the previous frame, which lasts %.3f s: the frame rate varies, or "
                "frames are missing",
                self.label,
                self._count,
                gap,
                duration,
            )

    def _playback(self, source: VideoInput) -> Playback:
        stated = self._stream.sample_aspect_ratio or Fraction(1)
        aspect = stated if stated > 0 else Fraction(1)
        aspect = 1 / aspect if self._turned else aspect
        audio = source.url if source.rereadable and self._container.streams.audio else None
        return Playback(time_base=self._stream.time_base, pixel_aspect=aspect, audio=audio)

    def _warn_if_interlaced(self, frame: VideoFrame) -> None:
        if frame.interlaced_frame and not self._index.interlaced:
            self._index.interlaced = True
            logger.warning(
                "%s: the video is interlaced, so moving edges are combed: deinterlace it first, for example with "
                "ffmpeg -i INPUT -vf bwdif=mode=send_frame OUTPUT",
                self.label,
            )

    def _check_complete(self) -> None:
        if self._live:
            return
        missing = self.header.missing(
            packets=self._packets,
            end=self._video_end if self.header.video_only else self._end,
            longest_gap=self._longest_gap,
            last_has_duration=self._last_has_duration,
        )
        if missing or self._damaged:
            evidence = missing or f"{self._damaged} packet(s) are damaged"
            raise ValueError(
                f"{self.label}: the video ends before frame {self._count}: {self._count} frame(s) were read, but "
                f"{evidence}: the file is damaged or truncated: copy it again or re-encode the rest"
            )
        if self.header.num_frames is not None and self._count < self.header.num_frames:
            stated = self.header.num_frames
            logger.warning("%s: %d frames were decoded, but the file states %d", self.label, self._count, stated)

    def _damage(self, reason: str) -> ValueError:
        count = self._count
        return ValueError(
            f"{self.label}: frame {count} cannot be decoded ({reason}); {count} frame(s) were read before it: "
            "the file is damaged or truncated: copy it again or re-encode the rest"
        )

    def _warn_damage(self, reason: str) -> None:
        logger.warning("%s: damaged data around frame %d (%s)", self.label, self._count, reason)


def _end_of(packet: av.Packet) -> float:
    """Return the time in seconds at which a packet ends; 0 if it has no time."""
    start = packet.pts if packet.pts is not None else packet.dts
    return 0.0 if start is None or not packet.time_base else float((start + (packet.duration or 0)) * packet.time_base)


def _open_container(source: VideoInput) -> InputContainer:
    try:
        return av.open(source.url, format=source.format, options=dict(source.options), timeout=source.timeout)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ValueError(f"{source.label}: cannot be opened as a video: {_open_advice(source, error)}") from None


def _open_advice(source: VideoInput, error: Exception) -> str:
    reason = _reason(error)
    if source.format is not None:
        return f"{reason}: check that the camera is connected and not in use by another program"
    if source.timeout is not None:
        return f"{reason}: check the address, and that the server can be reached"
    if isinstance(error, av.error.InvalidDataError):
        return f"{reason}: not a video, or an incomplete one (interrupted recording or copy, missing mp4 index)"
    return reason


def _reason(error: Exception) -> str:
    """Return FFmpeg's message without the URL, which may contain a password."""
    if isinstance(error, av.error.ExitError):
        return "the connection timed out"
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _pictures_in_motion(container: InputContainer) -> list[VideoStream]:
    """Return the video streams, except cover pictures and text files, which FFmpeg renders as a terminal's video."""
    covers = av.stream.Disposition.attached_pic
    return [s for s in container.streams.video if not s.disposition & covers and container.format.name != "tty"]


def _video_stream(container: InputContainer, label: str) -> VideoStream:
    streams = _pictures_in_motion(container)
    best = container.streams.best("video")
    stream = best if best in streams else next(iter(streams), None)
    if stream is not None:
        if stream.codec_context is None:
            raise ValueError(f"{label}: no decoder for the video stream: re-encode the video, e.g. as H.264 in mp4")
        stream.thread_type = "AUTO"
        if stream.codec_context.name == "mjpeg":  # otherwise a truncated image passes for a whole one, half of it gray
            stream.codec_context.options = {"err_detect": "explode"}
        return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise ValueError(f"{label}: no video stream in this file (it contains {kinds}): give a video")
