"""H.264 video writer: mp4 files that are complete or absent."""

from __future__ import annotations

import errno
import logging
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
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from voskit.dataloaders.files import make_folder
from voskit.evaluators.frame_checks import check_frame

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

_BT709 = 1  # value of the H.264 fields color primaries, transfer characteristics and matrix
_LIMITED_RANGE = 1


class VideoWriter:
    """A writer of H.264 videos (mp4, yuv420p, BT.709, index at the front so that browsers can stream it).

    Frames go to ``.<name>.<pid>.tmp.mp4`` in the same folder; ``close`` renames that file. After an error, after
    ``abort``, or if the writer is dropped without ``close``, the temporary file is removed and an earlier file of the
    final name stays as it was. Frames of odd width or height get their last column or row twice, because yuv420p has
    one color sample per 2x2 pixels.

    As a context manager it closes at the end of the body, and aborts if the body raises. Frames must come in order; to
    encode in the background pass ``write`` to a one-thread
    :class:`~voskit.evaluators.clips.background.BackgroundWriter`.

    If the FFmpeg library has no libx264, the video is MPEG-4 Part 2 and a warning is logged.

    Args:
        path: the file, ``*.mp4``. Missing folders are made.
        fps: frames per second. A float near an NTSC rate (29.97, 23.976, 59.94) becomes the exact n*1000/1001.
        crf: quality of libx264, 0 (lossless) to 51 (worst). Not used by the fallback.
        preset: speed of libx264, ``"ultrafast"`` to ``"veryslow"``. Slow ones hold more frames in the encoder.

    Raises:
        ValueError: a wrong suffix, fps or crf.
        OSError: the folder can't be made or written, or a folder has the file's name.
    """

    def __init__(
        self, path: str | os.PathLike[str], fps: float | Fraction = 25.0, *, crf: int = 20, preset: str = "veryfast"
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise ValueError(f"a video's name must end in .mp4, got {self.path}")
        if not 0 <= crf <= 51:
            raise ValueError(f"crf must be between 0 and 51, got {crf}")
        self.fps = _exact_rate(fps)
        self.num_frames = 0
        self._options = {"crf": str(crf), "preset": preset}
        self._size: tuple[int, int] | None = None
        self._state = "open"
        self._lock = threading.RLock()
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "A folder is where the video should be written", str(self.path))
        make_folder(self.path.parent)
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp.mp4")
        self._temporary.touch()
        self._remove_temporary = weakref.finalize(self, _unlink, self._temporary)
        self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream: Any = None

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame, H x W x 3 uint8 RGB.

        Raises:
            ValueError: a wrong shape or dtype, a size other than that of earlier frames, or the writer is closed.
            OSError: the file can't be written (a full disk, for example), or the encoder failed.
        """
        with self._abort_on_error():
            self._check_frame(frame)
            height, width = frame.shape[:2]
            padded = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if self._stream is None:
                self._add_stream(width + width % 2, height + height % 2)
            picture = av.VideoFrame.from_ndarray(padded, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            picture.pts = self.num_frames
            picture.time_base = 1 / self.fps
            self._container.mux(self._stream.encode(picture))
            self.num_frames += 1

    def close(self) -> None:
        """Complete the file and give it its final name. Do nothing if it is closed already.

        Raises:
            ValueError: no frame was written, or the writer was aborted.
            OSError: the file can't be completed.
        """
        if self._state == "closed":
            return
        with self._abort_on_error():
            if self._stream is None:
                raise ValueError(f"no frame was written to {self.path}")
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._temporary.replace(self.path)
            self._remove_temporary.detach()
            self._state = "closed"

    def abort(self) -> None:
        """Remove the unfinished file. Do nothing if the writer is closed already."""
        with self._lock:
            if self._state != "open":
                return
            self._state = "aborted"
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

    def _check_frame(self, frame: NDArray[np.uint8]) -> None:
        check_frame(frame, f"{self.path}: a frame")
        size = (frame.shape[0], frame.shape[1])
        if self._size is None:
            self._size = size
        elif size != self._size:
            raise ValueError(
                f"{self.path}: frame {self.num_frames} is {size[1]}x{size[0]} (width x height), "
                f"but the video is {self._size[1]}x{self._size[0]}"
            )

    def _add_stream(self, width: int, height: int) -> None:
        if _has_encoder("libx264"):
            stream: Any = self._container.add_stream("libx264", rate=self.fps, options=self._options)
        else:
            logger.warning("FFmpeg has no libx264: %s is written as MPEG-4 Part 2, larger and less portable", self.path)
            if self.fps.numerator > 65535:  # a limit of MPEG-4 Part 2
                self.fps = self.fps.limit_denominator(max(1, int(65535 / self.fps)))
            stream = self._container.add_stream("mpeg4", rate=self.fps, options={"qmin": "2", "qmax": "4"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = 1 / self.fps
        stream.codec_context.color_primaries = _BT709
        stream.codec_context.color_trc = _BT709
        stream.codec_context.colorspace = _BT709
        stream.codec_context.color_range = _LIMITED_RANGE
        self._stream = stream

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
    if not 0.001 <= fps <= 1000:  # also refuses NaN
        raise ValueError(f"fps must be between 0.001 and 1000, got {fps}")
    if isinstance(fps, Fraction):
        return fps
    ntsc = Fraction(round(fps * 1.001) * 1000, 1001)
    if abs(float(ntsc) - fps) < 2e-4 * fps:
        return ntsc
    return Fraction(fps).limit_denominator(1001)


def _has_encoder(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except ValueError:  # av.codec.codec.UnknownCodecError
        return False
    return True


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
