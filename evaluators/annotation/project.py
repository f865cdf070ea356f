"""Annotation project: a list of clips, each with a folder of results, opened on demand."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voskit.dataloaders.files import atomic_write_text, exclusive_lock, load_json, make_folder
from voskit.dataloaders.images import IMAGE_EXTENSIONS
from voskit.dataloaders.video.extensions import VIDEO_EXTENSIONS
from voskit.dataloaders.video.frames import check_source
from voskit.dataloaders.video.tolerant import TolerantFrames
from voskit.evaluators.annotation.pictures import FramePictures
from voskit.evaluators.annotation.session import Annotation
from voskit.evaluators.annotation.storage import PRIVATE

if TYPE_CHECKING:
    from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)

STATE = ".project"
"""Folder of the project's list and token, in the folder of the results."""
_LONGEST_STEM = 200  # bytes; most file systems take 255


class OpenClip:
    """An open clip: its frames, its session, and the state stored by the page.

    Args:
        source: the frames.
        annotation: the session.

    Attributes:
        changes: number of announced changes of masks and objects.
    """

    def __init__(self, source: TolerantFrames, annotation: Annotation) -> None:
        self.source = source
        self.annotation = annotation
        self.pictures = FramePictures(source)
        self.times = source.times
        self._view = annotation.folder / PRIVATE / "view.json"
        self._cuts = annotation.folder / PRIVATE / "cuts.json"
        self._known_cuts: list[int] | None = None
        self.changes = 0
        with suppress(FileNotFoundError, ValueError, TypeError):  # damaged: cuts are detected again
            self._known_cuts = [int(number) for number in load_json(self._cuts)]

    @property
    def view(self) -> dict[str, Any]:
        """State stored by the page, such as frame and zoom; empty if there is none."""
        try:
            return dict(load_json(self._view))
        except (FileNotFoundError, ValueError, TypeError):  # not worth an error
            return {}

    @view.setter
    def view(self, values: dict[str, Any]) -> None:
        atomic_write_text(self._view, json.dumps(values))

    @property
    def cuts(self) -> list[int] | None:
        """First frames of shots; None: not detected yet."""
        return self._known_cuts

    @cuts.setter
    def cuts(self, numbers: list[int]) -> None:
        atomic_write_text(self._cuts, json.dumps(numbers))
        self._known_cuts = numbers

    def close(self) -> None:
        """Close files and release the folder."""
        self.pictures.clear()
        self.annotation.close()
        self.source.close()


class ProjectClip:
    """A clip of the project, which may not be open yet.

    Attributes:
        id: short text for URLs; it changes with the file.
        path: the video or folder.
        folder: folder of the results.
        state: ``"closed"``, ``"opening"``, ``"ready"`` or ``"failed"``.
        done: fraction of the frames read so far while opening, 0 to 1.
        error: why it can't be opened.
        opened: the open clip, if it is ready.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder
        self.state = "closed"
        self.done = 0.0
        self.error: str | None = None
        self.opened: OpenClip | None = None
        stamp = path.stat().st_mtime_ns if path.exists() else 0
        self.id = hashlib.sha256(f"{path}\n{folder}\n{stamp}".encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """Displayed name."""
        return self.folder.name

    def summary(self) -> dict[str, Any]:
        """Return the clip's entry in the list of clips."""
        state = "opening" if self.state == "closed" else self.state
        values = {"id": self.id, "name": self.name, "state": state, "done": round(self.done, 3), "error": self.error}
        if self.opened is not None:
            annotation = self.opened.annotation
            height, width = annotation.source.size
            given, masked = len(annotation.given), sum(b - a + 1 for a, b in annotation.masked)
            values |= {"frames": len(annotation), "height": height, "width": width, "given": given, "masked": masked}
        return values


class Project:
    """Clips that are annotated together, with one folder of results.

    Args:
        folder: folder of the results; the list of clips is kept in it.
        segmenter: returns the segmenter, which all clips share.
        root: folder that the page may open videos from; None: none.
        fps: frame rate of image clips.
        changed: called with a clip when its state changes, and with None when the list changes.

    Raises:
        ValueError: the list of clips is damaged.
        OSError: the folder can't be created.
    """

    def __init__(
        self,
        folder: Path,
        segmenter: Callable[[], VideoSegmenter],
        *,
        root: Path | None = None,
        fps: float | None = None,
        changed: Callable[[ProjectClip | None], None] = lambda clip: None,
    ) -> None:
        make_folder(folder)
        make_folder(folder / STATE)
        self.folder = folder.resolve()
        self.root = None if root is None else root.resolve()
        self.changed = changed
        self.first: ProjectClip | None = None
        """The clip that a page shows first. None: the first one in the list."""
        self._segmenter = segmenter
        self._fps = fps
        self._lock = threading.Lock()
        self._opening = ThreadPoolExecutor(1, thread_name_prefix="opening")
        self._closed = False
        self._clips: dict[str, ProjectClip] = {}
        for path, results in self._load():
            self._add(ProjectClip(path, results))

    @property
    def clips(self) -> list[ProjectClip]:
        """The clips in the order in which they were added."""
        with self._lock:
            return list(self._clips.values())

    def __getitem__(self, clip_id: str) -> ProjectClip:
        return self._clips[clip_id]

    def add(self, path: Path) -> ProjectClip:
        """Add a video or a folder of images, unless it is in the list; return its clip.

        Raises:
            FileNotFoundError, ValueError: it isn't a video or folder of images.
        """
        path = path.resolve()
        if check_source(path) not in ("video", "folder", "image"):
            raise ValueError(f"{path}: give a video or a folder of images")
        with self._lock:
            for clip in self._clips.values():
                if clip.path == path:
                    return clip
            clip = ProjectClip(path, self._free_folder(path))
            self._add(clip)
            self._save()
        self.changed(None)
        return clip

    def remove(self, clip_id: str) -> None:
        """Remove a clip from the list and close it; its files are kept. Nothing happens if it was removed before."""
        with self._lock:
            clip = self._clips.pop(clip_id, None)
            if clip is None:
                return
            self._save()
        if clip.opened is not None:
            clip.opened.close()
        self.changed(None)

    def open(self, clip: ProjectClip) -> None:
        """Start opening a clip in the background unless that has started."""
        with self._lock:
            if clip.state != "closed":
                return
            clip.state = "opening"
        self._opening.submit(self._open, clip)

    def retry(self, clip: ProjectClip) -> None:
        """Retry opening a clip that couldn't be opened."""
        with self._lock:
            if clip.state == "failed":
                clip.state, clip.done, clip.error = "closed", 0.0, None
        self.open(clip)

    def open_now(self, clip: ProjectClip) -> OpenClip:
        """Open a clip and wait for it.

        Raises:
            ValueError, OSError: it can't be opened.
        """
        if clip.opened is None:
            clip.state = "opening"
            clip.opened = self._opened(clip)
            clip.state, clip.done = "ready", 1.0
        return clip.opened

    def within_root(self, path: str) -> Path:
        """Resolve a path relative to the root.

        Raises:
            PermissionError: there is no root, or the path leaves it.
            FileNotFoundError: there is no such file.
        """
        if self.root is None:
            raise PermissionError("to open videos by path, start the server with --root FOLDER")
        try:
            found = (self.root / path.lstrip("/")).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            raise FileNotFoundError(f"{path}: no such file below the root") from None
        if not found.is_relative_to(self.root):
            raise PermissionError(f"{path} is outside the root")
        return found

    def list_root(self, path: str) -> dict[str, Any]:
        """List the folders, videos and folders of images in a folder under the root."""
        folder = self.within_root(path)
        if self.root is None or not folder.is_dir():
            raise FileNotFoundError(f"{path}: no such folder below the root")
        entries = []
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name.lower()):
            if entry.name.startswith(".") or not entry.resolve().is_relative_to(self.root):
                continue
            kind = "video" if entry.suffix.lower() in VIDEO_EXTENSIONS and entry.is_file() else None
            if entry.is_dir():
                kind = "images" if _has_images(entry) else "folder"
            if kind is not None:
                entries.append({"name": entry.name, "path": str(entry.relative_to(self.root)), "kind": kind})
        relative = "" if folder == self.root else str(folder.relative_to(self.root))
        parent = None if folder == self.root else str(Path(relative).parent).replace(".", "", 1)
        return {"path": relative, "parent": parent, "entries": entries}

    def upload_path(self, name: str) -> Path:
        """Return an unused path for an uploaded video, with a safe name similar to the given one."""
        stem, suffix = Path(name.replace("\\", "/")).stem, Path(name).suffix
        stem = re.sub(r"[^\w -]+", "_", stem).strip(" _") or "clip"
        suffix = suffix if re.fullmatch(r"\.\w{1,8}", suffix) else ".mp4"
        folder = self.folder / "uploads"
        make_folder(folder)
        taken = {path.stem.lower() for path in folder.iterdir()}
        stem = stem[:80].encode()[:_LONGEST_STEM].decode(errors="ignore")
        names = (stem if number == 1 else f"{stem}_{number}" for number in range(1, len(taken) + 2))
        return folder / f"{next(name for name in names if name.lower() not in taken)}{suffix.lower()}"

    def close(self) -> None:
        """Close all clips."""
        self._closed = True
        self._opening.shutdown(wait=True, cancel_futures=True)
        for clip in self.clips:
            if clip.opened is not None:
                clip.opened.close()

    def _open(self, clip: ProjectClip) -> None:
        try:
            clip.opened = self._opened(clip)
            if clip not in self.clips:  # removed from the list in the meantime
                clip.opened.close()
                return
            clip.state, clip.done = "ready", 1.0
            for other in self.clips:  # the user works on one clip at a time
                if other is not clip and other.opened is not None:
                    other.opened.pictures.clear()
        except Exception as error:
            if clip not in self.clips:
                return
            if not isinstance(error, (ValueError, OSError)):
                logger.exception("%s", clip.path)
            clip.error, clip.state = str(error), "failed"
            if not self._closed:
                logger.warning("%s", error)
        self.changed(clip)

    def _opened(self, clip: ProjectClip) -> OpenClip:
        shown = 0.0

        def progress(done: float) -> bool:
            nonlocal shown
            clip.done = done
            if done >= shown + 0.02:
                shown = done
                self.changed(clip)
            return not self._closed and (clip in self.clips or clip.opened is not None)

        if not clip.path.exists():
            raise FileNotFoundError(f"{clip.path}: no such file or folder")
        make_folder(clip.folder / PRIVATE)
        source = TolerantFrames(
            clip.path, fps=self._fps, cache=clip.folder / PRIVATE / "frames.json", progress=progress
        )
        try:
            if source.problem:
                logger.warning("%s", source.problem)
            annotation = Annotation(self._segmenter, source, clip.folder)
            for _ in annotation.read_objects():
                if self._closed:
                    break
            return OpenClip(source, annotation)
        except BaseException:
            source.close()
            raise

    def _add(self, clip: ProjectClip) -> None:
        self._clips[clip.id] = clip

    def _free_folder(self, path: Path) -> Path:
        """Return a folder for a clip's results that no other clip in the list uses."""
        taken = {clip.folder for clip in self._clips.values()}
        name = path.stem if path.is_file() else path.name
        number = 1
        while (folder := self.folder / (name if number == 1 else f"{name}_{number}")) in taken:
            number += 1
        return folder

    def _load(self) -> list[tuple[Path, Path]]:
        path = self.folder / STATE / "clips.json"
        if not path.exists():
            return []
        try:
            return [(Path(entry["path"]), self.folder / Path(entry["folder"]).name) for entry in load_json(path)]
        except (TypeError, KeyError, ValueError):
            raise ValueError(f"{path} is damaged: remove it; the clips' results stay") from None

    def _save(self) -> None:
        entries = [{"path": str(clip.path), "folder": clip.folder.name} for clip in self._clips.values()]
        with exclusive_lock(self.folder / STATE):
            atomic_write_text(self.folder / STATE / "clips.json", json.dumps(entries, indent=1) + "\n")


def find_videos(path: Path) -> list[Path]:
    """Return the clips at a path: the path itself, or the videos and folders of images in it.

    Raises:
        FileNotFoundError: the path doesn't exist.
        ValueError: it contains no video or image.
    """
    if not path.exists():
        address = re.match("[A-Za-z][A-Za-z0-9+.-]+:/", path.as_posix())
        hint = ": the page annotates files, so download the video" if address else ": no such file or folder"
        raise FileNotFoundError(f"{path}{hint}")
    if path.is_file() or _has_images(path):
        return [path]
    folder = path / "images" if (path / "images").is_dir() else path  # a folder of scenes also contains masks
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    if folder != path and _has_images(folder):
        return [folder]
    found = [
        e for e in entries if (e.is_file() and e.suffix.lower() in VIDEO_EXTENSIONS) or (e.is_dir() and _has_images(e))
    ]
    if not found:
        raise ValueError(f"{path}: no video, no image and no folder of images in it")
    return found


def _has_images(folder: Path) -> bool:
    return any(p.suffix.lower() in IMAGE_EXTENSIONS and not p.name.startswith(".") for p in folder.iterdir())
