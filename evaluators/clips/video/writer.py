"""Video writer: files that are complete or absent, and can be watched while they grow."""

from __future__ import annotations

import errno
import logging
import math
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from voskit.dataloaders.files import make_folder
from voskit.dataloaders.video.source import Playback
from voskit.evaluators.clips.video.audio import AudioCopy
from voskit.evaluators.clips.video.formats import H264, VideoFormat, has_encoder, tag_colors
from voskit.evaluators.clips.video.growing import GrowingCopy
from voskit.evaluators.frame_checks import check_frame

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

MIN_FPS, MAX_FPS = 1e-6, 1e6
DEFAULT_FPS = 25.0
"""Rate of videos made from images."""

_MPEG4_OPTIONS = {"qmin": "2", "qmax": "4"}
_TICKS = 10000  # minimum number of time units in a second
_SLOW, _SLOW_TICKS = Fraction(1, 100), 1000  # fewer for time lapses: 2**31 units are the longest interval of mp4


class VideoWriter:
    """A writer of videos, by default H.264 (mp4, yuv420p, BT.709, index at the front so that browsers can stream it).

    Frames go to ``.<name>.<pid>.tmp.mp4`` in the same folder; ``close`` renames that file. After an error, after
    ``abort``, or if the writer is dropped without ``close``, the temporary file is removed and an earlier file of the
    final name stays as it was. Frames of odd width or height get their last column or row twice, because yuv420p has
    one color sample per 2x2 pixels. Frames with a side above 16384 pixels are scaled down.

    With ``growing``, ``<name>.incomplete.mp4`` can be watched at any time. It has the frames before the last, without
    audio, and is removed by ``close`` and ``abort``.

    Frames have the times that are passed to ``write``, so that a video of a variable frame rate stays one. Without
    times they follow each other at ``fps``.

    As a context manager it closes at the end of the body, and aborts if the body raises. Frames must come in order; to
    encode in the background pass ``write`` to a one-thread
    :class:`~voskit.evaluators.clips.background.BackgroundWriter`.

    If the FFmpeg library has no libx264, the video is MPEG-4 Part 2 and a warning is logged.

    Args:
        path: the file, with the format's suffix. Missing folders are made.
        fps: frames per second, for frames without a time. A float near an NTSC rate (29.97, 23.976, 59.94) becomes the
            exact n*1000/1001.
        playback: pixel aspect ratio, unit of times, and a file whose audio is copied, see
            :class:`~voskit.dataloaders.video.source.Playback`. Audio that can't be copied is left out with a warning.
        kind: container, codec and pixels.
        growing: keep a file that can be watched.

    Raises:
        ValueError: a wrong suffix or fps.
        OSError: the folder can't be made or written, or a folder has the file's name.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float | Fraction = 25.0,
        *,
        playback: Playback = Playback(),  # noqa: B008 - frozen
        kind: VideoFormat = H264,
        growing: bool = False,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != kind.suffix:
            raise ValueError(f"a video's name must end in {kind.suffix}, got {self.path}")
        self.fps = _exact_rate(fps)
        self.num_frames = 0
        self._playback = playback
        self._kind = kind
        # with zerolatency each frame leaves the encoder at once
        self._options = {**kind.options, **({"tune": "zerolatency"} if growing else {})}
        self._growing = GrowingCopy(self.path) if growing else None
        self._start = 0.0
        self._ticks = _ticks(playback.time_base, self.fps)
        self._durations: dict[int, int] = {}  # of the frames in the encoder
        self._held: Any = None  # the last packet
        self._first_pts: int | None = None
        self._last_pts = self._end = -1
        self._audio: AudioCopy | None = None
        self._size: tuple[int, int] | None = None
        self._state = "open"
        self._lock = threading.RLock()
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "A folder has the name of the video", str(self.path))
        make_folder(self.path.parent)
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp{kind.suffix}")
        self._temporary.touch()
        self._remove_temporary = weakref.finalize(self, _unlink, self._temporary)
        self._container = self._open()
        self._stream: Any = None

    def write(self, frame: NDArray[np.uint8], time: float | None = None, duration: float | None = None) -> None:
        """Append a frame.

        Args:
            frame: H x W x 3 uint8 RGB; in formats with opacity H x W x 4, uint8 or uint16.
            time: seconds at which it is shown, more than those of the frame before; None: number of the frame / fps.
                A time that isn't later is moved to one time unit after it.
            duration: seconds for which it is shown, which matters for the last frame; None: the mean of the others.

        Raises:
            ValueError: a wrong shape or dtype, a size other than that of earlier frames, or the writer is closed.
            OSError: the file can't be written (a full disk, for example), or the encoder failed.
        """
        with self._abort_on_error():
            self._check_frame(frame)
            image = self._scaled(frame)
            height, width = image.shape[:2]
            odd = (height % 2, width % 2) if self._kind.even else (0, 0)
            padded = np.pad(image, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
            if self._stream is None:
                self._start = (time or 0.0) if self._playback.excerpt else 0.0
                self._add_streams(width + odd[1], height + odd[0])
            picture = self._kind.picture(padded)
            picture.pts = self._next_pts(time)
            picture.time_base = Fraction(1, self._ticks)
            self._durations[picture.pts] = self._duration(duration)
            self._end = picture.pts + self._durations[picture.pts]
            if self._audio is not None:
                self._audio.write_until(picture.pts / self._ticks)
            self._encode(picture)
            self.num_frames += 1

    def close(self, *, rest_of_audio: bool = False) -> None:
        """Complete the file and give it its final name. Do nothing if it is closed already.

        Args:
            rest_of_audio: also copy audio that is longer than the video.

        Raises:
            ValueError: no frame was written, or the writer was aborted.
            OSError: the file can't be completed.
        """
        if self._state == "closed":
            return
        with self._abort_on_error():
            if self._stream is None:
                raise ValueError(f"no frame was written to {self.path}")
            self._encode(None)
            if self._audio is not None:
                self._audio.write_until(math.inf if rest_of_audio else self._end / self._ticks)
                self._audio.close()
            self._container.close()
            self._drop_growing()
            self._temporary.replace(self.path)
            self._remove_temporary.detach()
            self._state = "closed"

    def abort(self) -> None:
        """Remove the unfinished file. Do nothing if the writer is closed already."""
        with self._lock:
            if self._state != "open":
                return
            self._state = "aborted"
            if self._audio is not None:
                self._audio.close()
            self._drop_growing()
            try:
                self._container.close()
            except (
                av.FFmpegError,
                OSError,
            ) as error:  # the caller raises the error that led here
                logger.debug("Closing %s: %s", self._temporary, error)
            self._remove_temporary()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def _drop_growing(self) -> None:
        if self._growing is not None:
            self._growing.remove()

    def _check_frame(self, frame: NDArray[Any]) -> None:
        check_frame(frame[..., :3].astype(np.uint8, copy=False) if self._kind.alpha else frame, f"{self.path}: a frame")
        size = (frame.shape[0], frame.shape[1])
        if self._size is None:
            self._size = size
        elif size != self._size:
            raise ValueError(
                f"{self.path}: frame {self.num_frames} is {size[1]}x{size[0]} (width x height), "
                f"but the video is {self._size[1]}x{self._size[0]}"
            )

    def _encode(self, picture: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(picture):
            packet.duration = self._durations.pop(packet.pts, 0)  # the encoder would state 1 / rate
            if self._growing is not None:
                self._container.start_encoding()  # makes the stream's header, which the copy takes
                self._growing.write(packet, self._stream)
            self._mux(packet)
        if picture is None:
            self._mux(None)

    def _mux(self, packet: Any) -> None:
        """Write the previous packet, which lasts until this one; None: the end.

        Sources that store frames in another order may state the durations of other frames, and a WebM file ends with
        the latest end of its packets. Packets have the order of their frames, since no format here has B-frames.
        """
        before, self._held = self._held, packet
        if before is not None:
            if packet is not None:
                before.duration = packet.pts - before.pts
            self._container.mux(before)

    def _scaled(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the frame, scaled down if it exceeds the encoder's limit."""
        height, width = frame.shape[:2]
        scale = self._kind.max_side / max(height, width)
        if scale >= 1:
            return frame
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if not self.num_frames:
            logger.warning(
                "%s: frames of %dx%d are too large for its codec: the video has %dx%d", self.path, width, height, *size
            )
        return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), frame.dtype)

    def _next_pts(self, time: float | None) -> int:
        seconds = Fraction(self.num_frames) / self.fps if time is None else time - self._start
        pts = round(seconds * self._ticks)
        self._last_pts = max(pts, self._last_pts + 1)
        self._first_pts = self._last_pts if self._first_pts is None else self._first_pts
        return self._last_pts

    def _duration(self, seconds: float | None) -> int:
        """Return the units for which the frame is shown; without ``seconds`` the mean of the frames before it."""
        if seconds is not None:
            return max(1, round(seconds * self._ticks))
        if not self.num_frames:
            return max(1, round(self._ticks / self.fps))
        return max(1, (self._last_pts - (self._first_pts or 0)) // self.num_frames)

    def _open(self) -> Any:
        options = dict(self._kind.container_options)
        if self.fps < _SLOW and self._kind.container in ("mp4", "mov"):  # otherwise the muxer makes finer units
            options["video_track_timescale"] = str(self._ticks)
        return av.open(str(self._temporary), "w", format=self._kind.container, options=options)

    def _add_streams(self, width: int, height: int) -> None:
        """Add the video stream, and that of the audio if it can be copied."""
        self._stream = self._video_stream(width, height)
        if self._playback.audio is None:
            return
        try:
            self._audio = AudioCopy(self._playback.audio, self._container, self._start)
            self._container.start_encoding()
        except (av.FFmpegError, OSError, ValueError) as error:
            logger.warning("%s has no audio: the audio of the source can't be copied (%s)", self.path, error)
            if self._audio is not None:
                self._audio.close()
                self._audio = None
            self._container = self._open()
            self._stream = self._video_stream(width, height)

    def _video_stream(self, width: int, height: int) -> Any:
        rate = min(max(self.fps, Fraction(1)), Fraction(1000))  # only a hint: the frames' times count
        kind = self._kind
        if kind.codec != "libx264" or has_encoder(kind.codec):
            kind.check_encoder()
            stream: Any = self._container.add_stream(kind.codec, rate=rate, options=self._options)
        else:
            logger.warning("FFmpeg has no libx264: %s is written as MPEG-4 Part 2, larger and less portable", self.path)
            self._ticks = self._ticks if self._ticks <= 65535 else 60000  # a limit of MPEG-4 Part 2
            stream = self._container.add_stream("mpeg4", rate=rate.limit_denominator(1001), options=_MPEG4_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, kind.pixels
        stream.metadata.update(kind.metadata)
        context = stream.codec_context
        if kind.bitrate_free:
            context.bit_rate = 0
        context.time_base = Fraction(1, self._ticks)
        context.sample_aspect_ratio = self._playback.pixel_aspect.limit_denominator(1000)
        if kind.container == "webm" and self._playback.pixel_aspect != 1:
            logger.warning("%s: WebM is written with square pixels, but those of the source are not square", self.path)
        tag_colors(context)
        return stream

    @contextmanager
    def _abort_on_error(self) -> Iterator[None]:
        """Hold the lock, and abort if the body raises. FFmpeg errors become an OSError that names the final file.

        The lock makes ``abort`` wait for a background thread that is still in ``write``, as after Ctrl-C.
        """
        with self._lock:
            if self._state != "open":
                raise ValueError(f"the writer of {self.path} is {self._state}")
            try:
                yield
            except av.FFmpegError as error:
                self.abort()
                if isinstance(error, OSError):
                    raise OSError(error.errno, error.strerror, str(self.path)) from error
                raise OSError(f"{self.path}: encoding failed: {error}") from error
            except BaseException:
                self.abort()
                raise


def _exact_rate(fps: float | Fraction) -> Fraction:
    if not MIN_FPS <= fps <= MAX_FPS:  # also refuses NaN
        raise ValueError(f"fps must be between {MIN_FPS:g} and {MAX_FPS:g}, got {fps}")
    if isinstance(fps, Fraction):
        return fps
    ntsc = Fraction(round(fps * 1.001) * 1000, 1001)
    if abs(float(ntsc) - fps) < 2e-4 * fps:
        return ntsc
    return Fraction(fps).limit_denominator(1001) if fps >= 1 else 1 / Fraction(1 / fps).limit_denominator(1001)


def _ticks(time_base: Fraction | None, fps: Fraction) -> int:
    """Return time units per second that hold the source's times, or those of a frame rate, exactly if possible."""
    units = fps.numerator if time_base is None else time_base.denominator
    least = _TICKS if fps >= _SLOW else _SLOW_TICKS
    return units * -(-least // units) if units <= MAX_FPS else int(MAX_FPS)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
