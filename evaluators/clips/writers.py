"""Writing results: jobs in background threads, H.264 videos, and folders of masks.

A file appears under its final name only when it is complete: it is written under a temporary name in the same folder
and then renamed. A process that is killed may leave a temporary file (its name starts with a dot), never a broken
result.
"""

import atexit
import errno
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from voskit.dataloaders.masks.files import write_mask

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

_BT709 = 1  # value of the H.264 fields colour primaries, transfer characteristics and matrix
_LIMITED_RANGE = 1


class BackgroundWriter:
    """Runs write jobs in threads behind the caller, with bounded memory.

    At most `max_pending` jobs wait or run at any time; `submit` blocks until there is room. Arrays given to a job must
    not be changed by the caller afterwards. With one worker the jobs run in the order of their submission.

    The first error of a job is raised at the next `submit` and at `close`: the same exception object, its message
    completed by the name of the file (the job's first positional argument that is a path or a string) where that is
    missing. After an error no further job is started.

    As a context manager it closes at the end of the body. When the body raises, waiting jobs are dropped, running ones
    are waited for, and the body's exception goes on. Jobs that a program submitted before it ended without `close` are
    still run at the interpreter's exit, and their error is logged.

    Args:
        workers: number of threads.
        max_pending: most jobs that wait or run.

    Raises:
        ValueError: a number below 1.
    """

    def __init__(self, workers: int = 2, max_pending: int = 8) -> None:
        for name, value in (("workers", workers), ("max_pending", max_pending)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        # The executor's threads are joined at the interpreter's exit after they have emptied the queue.
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="background-writer")
        self._room = threading.Semaphore(max_pending)
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._error_raised = False
        self._dropping = False
        self._closed = False
        atexit.register(self._log_error_at_exit)

    def submit(self, job: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Queues `job(*args, **kwargs)`; blocks while `max_pending` jobs wait or run.

        Raises:
            ValueError: the writer is closed.
            BaseException: whatever an earlier job raised; this job is not queued then.
        """
        self._check_open()
        self._room.acquire()
        try:
            self._check_open()  # things may have changed while this call was blocked
            self._pool.submit(self._run, job, args, kwargs)
        except BaseException:
            self._room.release()
            raise

    def close(self) -> None:
        """Waits until all jobs have run and the threads have ended. Raises the first error of a job, if any."""
        try:
            self._join()
        except BaseException:  # interrupted from the keyboard: don't make the exit wait for the rest
            self._dropping = True
            raise
        self._raise_error()

    def cancel(self) -> None:
        """Drops waiting jobs, waits for running ones and ends the threads. Logs an error that was not raised yet."""
        self._dropping = True
        self._join()
        if self._error is not None and not self._error_raised:
            self._error_raised = True
            logger.error("Background write failed: %s: %s", type(self._error).__name__, self._error)

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.cancel()

    def _run(self, job: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            if not self._dropping:
                job(*args, **kwargs)
        except BaseException as error:
            with self._lock:
                if self._error is None:
                    self._dropping = True
                    self._error = _with_file_name(error, args)
        finally:
            self._room.release()

    def _check_open(self) -> None:
        self._raise_error()
        if self._closed:
            raise ValueError("the BackgroundWriter is closed")

    def _raise_error(self) -> None:
        if self._error is not None:
            self._error_raised = True
            raise self._error

    def _join(self) -> None:
        self._closed = True
        self._pool.shutdown(wait=True)
        atexit.unregister(self._log_error_at_exit)

    def _log_error_at_exit(self) -> None:
        if self._error is not None and not self._error_raised:
            logger.error("Background write failed: %s: %s", type(self._error).__name__, self._error)


class VideoWriter:
    """Writes an H.264 video (mp4, yuv420p, BT.709, index at the front so that browsers can stream it).

    Frames go to `.<name>.<pid>.tmp.mp4` in the same folder, which is renamed at `close`. After any error, `abort`, or
    when the writer is dropped without `close`, the temporary file is removed and a file that was there before under the
    final name is untouched. Frames of odd width or height get their last column or row twice, because yuv420p has one
    colour sample per 2x2 pixels.

    As a context manager it closes at the end of the body, and aborts when the body raises. Frames must come in order;
    to encode behind the caller see `background_video`.

    Where the FFmpeg library has no libx264, MPEG-4 Part 2 is written instead and a warning is logged.

    Args:
        path: the file, `*.mp4`. Missing folders are made.
        fps: frames per second. A float near an NTSC rate (29.97, 23.976, 59.94) becomes the exact n*1000/1001.
        crf: quality of libx264, 0 (lossless) to 51 (worst). Not used by the fallback.
        preset: speed of libx264, "ultrafast" ... "veryslow". Slow ones hold more frames inside of the encoder.

    Raises:
        ValueError: a wrong suffix, fps or crf.
        OSError: the folder can't be made or written, or a folder has the file's name.
    """

    def __init__(self, path: StrPath, fps: float | Fraction = 25.0, *, crf: int = 20, preset: str = "veryfast") -> None:
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
        """Appends a frame, HxWx3 uint8 RGB.

        Raises:
            ValueError: wrong shape or dtype, another size than the frames before, or the writer is closed.
            OSError: the file can't be written (such as a full disk), or the encoder failed.
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
        """Completes the file and gives it its final name. Does nothing when closed already.

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
        """Gives up: removes what was written. Does nothing when the writer is closed already."""
        with self._lock:
            if self._state != "open":
                return
            self._state = "aborted"
            try:
                self._container.close()
            except (av.FFmpegError, OSError) as error:  # the file goes anyway; what led here is raised by the caller
                logger.debug("Closing %s: %s", self._temporary, error)
            self._remove_temporary()

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def _check_frame(self, frame: NDArray[np.uint8]) -> None:
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or frame.size == 0:
            raise ValueError(f"{self.path}: a frame must be HxWx3 uint8, got shape {frame.shape}, dtype {frame.dtype}")
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
        """Holds the lock and aborts when the body raises. FFmpeg's errors become an OSError that names the final file.

        The lock is for an abort while a background thread is still within `write`, as after a Ctrl-C.
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


@contextmanager
def background_video(
    path: StrPath, fps: float | Fraction = 25.0, *, max_pending: int = 8, **options: Any
) -> Iterator[Callable[..., None]]:
    """A `VideoWriter` that is fed from one background thread, in order.

    Gives a function `write(render, *args)`: the thread calls `render(*args)`, which returns the next frame (HxWx3 uint8
    RGB), and encodes it. Drawing thus also happens behind the caller:

        with background_video("out.mp4", fps) as write:
            for frame, ids in results:
                write(draw_overlay, frame, ids)

    Errors come as in `BackgroundWriter`. The file is there after the body, or not at all.

    Args:
        path, fps, options: as for `VideoWriter`.
        max_pending: most frames held.
    """
    # Left in the reverse order: the queue is emptied (or dropped) first, then the video is completed (or aborted).
    with VideoWriter(path, fps, **options) as video, BackgroundWriter(1, max_pending) as background:
        yield lambda render, *args: background.submit(_render_into, video, render, args)


class MaskWriter:
    """Writes a video's masks to `<folder>/<name>.png` behind the caller, by
    `voskit.dataloaders.masks.files.write_mask`.

    Each file is complete or absent. Files of an earlier run are replaced. Errors, order and context manager as for
    `BackgroundWriter`.

    Args:
        folder: made when missing.
        palette: 768 bytes of RGB for ids 0 to 255. None: the DAVIS palette.
        grey: greyscale PNGs in place of those with a palette.
        workers, max_pending: as for `BackgroundWriter`.

    Raises:
        OSError: the folder can't be made or written, or a file has its name.
    """

    def __init__(
        self,
        folder: StrPath,
        *,
        palette: bytes | None = None,
        grey: bool = False,
        workers: int = 2,
        max_pending: int = 8,
    ) -> None:
        self.folder = Path(folder)
        self._kind = {"palette": palette, "grey": grey}
        self._names: dict[str, None] = {}
        make_folder(self.folder)
        self._background = BackgroundWriter(workers, max_pending)

    @property
    def names(self) -> list[str]:
        """Names of the masks given so far, in order; after `close` all of them are on the disk."""
        return list(self._names)

    def write(self, name: str, mask: NDArray[np.integer]) -> None:
        """Queues one mask; it must not be changed afterwards.

        Args:
            name: the frame's name without folder and suffix, such as "00012".
            mask: HxW integers, 0 = background.

        Raises:
            ValueError: the name was given before, or is not a plain file name.
            OSError: an earlier mask could not be written.
        """
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise ValueError(f"{name!r} is not the name of a mask in {self.folder}")
        if name in self._names:
            raise ValueError(f"mask {name!r} was written to {self.folder} before")
        self._background.submit(write_mask, self.folder / f"{name}.png", mask, **self._kind)
        self._names[name] = None

    def close(self) -> None:
        """Waits until all masks are on the disk. Raises the first error of a write, if any."""
        self._background.close()

    def cancel(self) -> None:
        """Drops masks that wait and waits for those being written."""
        self._background.cancel()

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._background.__exit__(kind, error, traceback)


def _render_into(video: VideoWriter, render: Callable[..., NDArray[np.uint8]], args: tuple[Any, ...]) -> None:
    video.write(render(*args))


def _with_file_name(error: BaseException, args: tuple[Any, ...]) -> BaseException:
    """Returns `error` with the name of the job's file in its message, where that can be done."""
    path = next((os.fspath(arg) for arg in args if isinstance(arg, (str, os.PathLike))), None)
    if path is None or str(path) in str(error):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        if error.filename is None:
            error.filename = path
    elif len(error.args) <= 1:
        error.args = (f"{path}: {error}",)
    return error


def _exact_rate(fps: float | Fraction) -> Fraction:
    if not 0.001 <= fps <= 1000:  # also refuses NaN
        raise ValueError(f"fps must be between 0.001 and 1000, got {fps}")
    if isinstance(fps, Fraction):
        return fps
    ntsc = Fraction(round(fps * 1.001) * 1000, 1001)
    if abs(float(ntsc) - fps) < 2e-4 * fps:
        return ntsc
    return Fraction(fps).limit_denominator(1001)


def make_folder(folder: Path) -> None:
    """Makes a folder with its parents. Raises an OSError that names what is in the way or not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "A file is where a folder is expected", str(folder)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "The folder is not writable", str(folder))


def _has_encoder(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except ValueError:  # av.codec.codec.UnknownCodecError
        return False
    return True


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
