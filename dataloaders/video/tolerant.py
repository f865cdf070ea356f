"""Frames of a video or folder with damaged parts, which are skipped."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from PIL import Image

from voskit.dataloaders.files import atomic_write_text, load_json
from voskit.dataloaders.video.decoder import VideoFrames, VideoInput
from voskit.dataloaders.video.frames import check_source, open_frames
from voskit.dataloaders.video.image_files import ImageFrames, open_image_folder
from voskit.dataloaders.video.seek import FrameIndex
from voskit.dataloaders.video.source import Frame, FrameSource

logger = logging.getLogger(__name__)
_ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}  # first bytes of a file, and bytes near its end


class TolerantFrames(FrameSource):
    """Frames of a video file or a folder of images, without the damaged ones.

    Damaged frames keep their numbers, which ``damaged`` lists; ``between`` and iteration skip them. A video that ends
    early has only the frames up to that point; ``problem`` says so.

    Args:
        path: the video, the folder or one image.
        fps: see ``open_frames``.
        cache: file for the index of a video's frames, so that the video is read in full only once.
        progress: called with the fraction of frames read, 0 to 1; if it returns False, reading stops.

    Raises:
        FileNotFoundError, ValueError: see ``open_frames``; no frame can be read; or ``progress`` stopped the reading.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fps: float | None = None,
        cache: Path | None = None,
        progress: Callable[[float], bool] | None = None,
    ) -> None:
        self.problem: str | None = None
        self.damaged: set[int] = set()
        self._progress = progress
        kind = check_source(path, fps)
        if kind not in ("video", "folder", "image"):
            raise ValueError(f"{os.fspath(path)}: a camera or stream can be read only once: record it")
        self._source: VideoFrames | ImageFrames
        self._numbers: list[int | None]  # the frame of the inner source, by number
        if kind == "video":
            text = os.fspath(path)
            source = VideoInput(url=f"file:{text}", label=text, name=Path(path).stem, skip_damaged=True)
            self._source = video = VideoFrames(source, fps=fps)
            self._numbers = self._cached(video, Path(path), cache)
        else:
            folder = kind == "folder"
            images = open_image_folder(Path(path), fps, skip_damaged=True) if folder else open_frames(path, fps=fps)
            assert isinstance(images, ImageFrames)
            self._source = images
            self._numbers = list(range(images.count()))
            self._check_images(images)
        self._by_place = {place: number for number, place in enumerate(self._numbers) if place is not None}
        self.name = self._source.name
        self.size = self._source.size
        self.num_frames = len(self._numbers)
        self.playback = self._source.playback
        if len(self.damaged) == len(self._numbers):
            raise ValueError(f"{os.fspath(path)}: no frame can be read: copy it again")

    @property
    def fps(self) -> float | None:
        return self._source.fps

    @property
    def times(self) -> list[float]:
        """Seconds at which each frame is shown; 25 frames per second if the source has no times."""
        if isinstance(self._source, ImageFrames) or self._source.fps is None:
            return [number / (self.fps or 25.0) for number in range(len(self._numbers))]
        times, index, last = [], self._source.index, 0.0
        for place in self._numbers:
            last = last if place is None else index.seconds(place)[0]
            times.append(last)
        return times

    def __iter__(self) -> Iterator[Frame]:
        return self.between(0, len(self._numbers) - 1)

    def between(self, first: int, last: int) -> Iterator[Frame]:
        for number in (first, last):
            if not 0 <= number < len(self._numbers):
                raise ValueError(f"{self.name}: there is no frame {number}, the last one is {len(self._numbers) - 1}")
        if isinstance(self._source, ImageFrames):
            return self._images(self._source, first, last)
        return self._video(first, last)

    def name_of(self, number: int) -> str:
        return self._source.name_of(number)

    def count(self) -> int:
        return len(self._numbers)

    def close(self) -> None:
        self._source.close()

    def _images(self, images: ImageFrames, first: int, last: int) -> Iterator[Frame]:
        step = 1 if last >= first else -1
        for number in range(first, last + step, step):
            if number in self.damaged:
                continue
            try:
                yield next(iter(images.between(number, number)))
            except (ValueError, OSError) as error:
                logger.warning("%s", error)
                self.damaged.add(number)

    def _video(self, first: int, last: int) -> Iterator[Frame]:
        step = 1 if last >= first else -1
        places = [self._numbers[number] for number in range(first, last + step, step)]
        good = [place for place in places if place is not None]
        if not good:
            return
        for frame in self._source.between(good[0], good[-1]):
            number = self._by_place[frame.index]
            if number not in self.damaged:
                yield Frame(number, self.name_of(number), frame.image, frame.time, frame.duration)

    def _cached(self, video: VideoFrames, path: Path, cache: Path | None) -> list[int | None]:
        """Load the index of a video from the cache, or read the video and write the cache; return as ``_read`` does."""
        state = path.stat()
        key = [state.st_size, state.st_mtime_ns]
        if cache is not None and cache.exists():
            with suppress(ValueError, KeyError, TypeError):  # damaged, or from another version: read the video again
                values = load_json(cache)
                if values["file"] == key:
                    video.index = FrameIndex.from_json(values)
                    self.damaged, self.problem = set(values["damaged"]), values["problem"]
                    return list(values["numbers"])
        numbers = self._read(video)
        if cache is not None:
            values = {"file": key, "damaged": sorted(self.damaged), "problem": self.problem, "numbers": numbers}
            atomic_write_text(cache, json.dumps({**values, **video.index.to_json()}))
        return numbers

    def _read(self, video: VideoFrames) -> list[int | None]:
        """Read a video from start to end; for each frame number, return the decoded frame's, None if damaged."""
        count, total = 0, video.num_frames
        try:
            for _ in video:
                count += 1
                if self._progress is not None and not self._progress(min(count / total, 1.0) if total else 0.0):
                    raise InterruptedError
        except InterruptedError:
            raise ValueError(f"{video.name}: opening was stopped") from None
        except ValueError as error:
            self.problem = str(error)
        if not count:
            raise ValueError(self.problem or f"{video.name}: no frame can be read: copy it again")
        numbers: list[int | None] = list(range(count))
        if video.index.dropped:
            places = video.index.places(video.packet_times())
            if places is not None and sum(place is not None for place in places) == count:
                numbers = list(places)
        self.damaged = {number for number, place in enumerate(numbers) if place is None or place in video.index.damaged}
        if self.damaged and self.problem is None:
            self.problem = f"{len(self.damaged)} damaged frame(s) are skipped"
        return numbers

    def _check_images(self, images: ImageFrames) -> None:
        """Find files whose header or end is damaged; other damage is found when a file is read."""
        for number, path in enumerate(images.paths):
            if not _looks_whole(path, images.size):
                with suppress(StopIteration):
                    next(self._images(images, number, number))
            if self._progress is not None and not self._progress(number / len(images.paths)):
                raise ValueError(f"{images.name}: opening was stopped")
        if self.damaged:
            self.problem = f"{len(self.damaged)} damaged image(s) are skipped"


def _looks_whole(path: Path, size: tuple[int, int]) -> bool:
    """True if an image file has this size and, by its first and last bytes, isn't truncated."""
    try:
        with Image.open(path) as image:
            shapes = {(image.height, image.width), (image.width, image.height)}  # EXIF may turn it
        with path.open("rb") as file:
            start = file.read(2)
            file.seek(-min(path.stat().st_size, 64), os.SEEK_END)
            end = file.read()
    except Exception:  # a damaged file can make Pillow raise nearly anything
        return False
    return size in shapes and _ENDS.get(start, b"") in end
