"""Workspace of the annotation server: a project, its jobs, and the state sent to the page."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voskit.dataloaders.video.source import Frame
from voskit.evaluators.annotation.correction import next_correction
from voskit.evaluators.annotation.events import EventHub
from voskit.evaluators.annotation.jobs import Job, Jobs
from voskit.evaluators.annotation.loading import LazySegmenter
from voskit.evaluators.annotation.project import OpenClip, Project, ProjectClip
from voskit.evaluators.annotation.session import BusyError
from voskit.evaluators.annotation.storage import PRIVATE
from voskit.evaluators.annotation.transfers import zip_folder
from voskit.evaluators.clips.sources import BUNDLED_SCENES

if TYPE_CHECKING:
    from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)


class Workspace:
    """A project with its jobs, its segmenter and the events for browsers.

    Args:
        folder: folder of the results.
        model: displayed name of the model.
        build_segmenter: returns the segmenter; called in the background when the first clip is open.
        root: folder that the page may open videos from; None: none.
        fps: frame rate of image clips and of overlay videos.
        prompters: prompters for clicks and boxes, with their options.
    """

    def __init__(
        self,
        folder: Path,
        model: str,
        build_segmenter: Callable[[], VideoSegmenter],
        *,
        root: Path | None = None,
        fps: float | None = None,
        prompters: Sequence[str] = ("grabcut",),
    ) -> None:
        self.hub = EventHub()
        self.segmenter = LazySegmenter(model, build_segmenter, self._project_changed)
        self.project = Project(folder, self.segmenter, root=root, fps=fps, changed=self._clip_changed)
        self.jobs = Jobs(self._job_changed)
        self.on_failure: Callable[[ProjectClip], None] = lambda clip: None
        """Called when a clip can't be opened."""
        self._fps = fps
        self._closed = False
        self._formats: list[dict[str, str]] = []  # filled when the formats are imported
        self._offered = tuple(prompters)
        self._prompters: dict[str, Any] = {}
        self._image: tuple[str, int, np.ndarray] | None = None  # the frame that was clicked on last

    def close(self) -> None:
        """Stop jobs and close clips."""
        self._closed = True
        self.hub.close()
        self.jobs.close()
        self.project.close()

    # state for the page ----------------------------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """Return the project, as served at ``/api/project``."""
        return {
            "clips": [clip.summary() for clip in self.project.clips],
            "first": None if self.project.first is None else self.project.first.id,
            "root": None if self.project.root is None else self.project.root.name,
            "scenes": sorted(p.name for p in (BUNDLED_SCENES / "images").iterdir() if not p.name.startswith(".")),
            "formats": {"export": self._formats, "import": ["png", "npy", "json", "zip"]},
            "prompters": list(self._offered),
            "model": self.segmenter.to_json(),
        }

    def describe_clip(self, clip: ProjectClip) -> dict[str, Any]:
        """Return a clip, as served at ``/api/clips/C``; only its state if it isn't open."""
        opened = clip.opened
        if opened is None:
            return clip.summary()
        jobs = self.jobs.active(clip.id)
        source = opened.source
        return {
            **clip.summary(),
            **self._changes(opened, None),
            "fps": source.fps or 25.0,
            "times": opened.times,
            "damaged": sorted(source.damaged),
            "problem": source.problem,
            "opened_from": str(clip.path),
            "cuts": opened.cuts or [],
            "view": opened.view,
            "job": jobs[0].to_json() if jobs else None,
        }

    def quality(self, opened: OpenClip) -> dict[str, Any]:
        """Return the confidence of each object in each frame, and the frame whose correction helps most."""
        confidences = opened.annotation.confidences()
        ids = sorted({object_id for found in confidences.values() for object_id in found})
        curves: dict[str, list[float | None]] = {str(i): [None] * len(opened.annotation) for i in ids}
        for number, found in confidences.items():
            for object_id, confidence in found.items():
                curves[str(object_id)][number] = round(confidence, 4)
        best = None
        if chosen := next_correction(confidences):
            frame, object_id = chosen
            best = {"frame": frame, "object": object_id, "confidence": curves[str(object_id)][frame]}
        return {"objects": curves, "next": best}

    def present(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return the events for a browser that connects."""
        return [("job", str(job.id), job.to_json()) for job in self.jobs]

    # jobs ------------------------------------------------------------------------------------------------------------

    def propagate(self, clip: ProjectClip, first: int, last: int, objects: Sequence[int] | None, fuse: bool) -> Job:
        """Start a propagation, or queue it if one is running.

        Raises:
            BusyError: one for this clip is already queued.
            ValueError: a frame doesn't exist, or there is nothing to propagate.
        """
        annotation = self._opened(clip).annotation
        if len(self.jobs.active(clip.id, "propagate")) > 1:
            raise BusyError("a propagation is running and another is queued: stop them first")
        for number in (first, last):
            annotation.check_frame(number)
        annotation.check_start(first, objects)

        def work(job: Job) -> None:
            wanted = lambda: not job.stop.is_set()  # noqa: E731
            found = annotation.propagate(first, last, objects=objects, fuse=fuse, wanted=wanted)
            with closing(found) as frames:  # type: ignore[type-var]
                for frame, _ in frames:
                    job.step(frame.index)
            job.check()

        return self.jobs.start(clip.id, "propagate", abs(last - first), work, since=annotation.last_change)

    def overlay(self, clip: ProjectClip) -> Job:
        """Start writing the overlay video.

        Raises:
            BusyError: it is already being written.
        """
        annotation = self._opened(clip).annotation
        if self.jobs.active(clip.id, "overlay"):
            raise BusyError("the overlay video is being written: wait, or stop it")

        def work(job: Job) -> None:
            job.file = annotation.folder / "overlay.mp4"
            with closing(annotation.make_previews(self._fps)) as frames:  # type: ignore[type-var]
                for number in frames:
                    job.step(number)

        return self.jobs.start(clip.id, "overlay", len(annotation), work)

    def export(self, clip: ProjectClip, formats: Sequence[str]) -> Job:
        """Start an export to a zip file, which replaces that of the last export.

        Raises:
            BusyError: an export of this clip is queued or running.
            ValueError: a format or option is unknown, or no format is given.
        """
        from voskit.evaluators.exports.base import build_exports
        from voskit.evaluators.exports.results import export_masks

        opened = self._opened(clip)
        if self.jobs.active(clip.id, "export"):
            raise BusyError("an export is running: wait, or stop it")
        build_exports(formats)
        annotation, source = opened.annotation, opened.source
        folder = annotation.folder / PRIVATE / "exports"

        def work(job: Job) -> None:
            def mask(frame: Frame) -> np.ndarray | None:
                job.step(frame.index)
                return annotation.mask(frame.index)

            measures = {
                source.name_of(number): {i: {"confidence": c} for i, c in found.items()}
                for number, found in annotation.confidences().items()
            }
            shutil.rmtree(folder, ignore_errors=True)
            names = annotation.object_names
            export_masks(source, mask, folder / "files", formats, names=names, quality=measures, fps=self._fps)
            job.file = folder / f"{clip.name}.zip"
            zip_folder(folder / "files", job.file, clip.name)

        return self.jobs.start(clip.id, "export", len(annotation) - len(source.damaged), work)

    def prompt(
        self,
        clip: ProjectClip,
        number: int,
        points: Sequence[tuple[float, float, bool]],
        box: tuple[float, float, float, float] | None,
        mask: np.ndarray | None,
        prompter: str,
    ) -> np.ndarray:
        """Return the mask, H x W bool, of the object that points and a box indicate. Nothing is stored.

        The server makes one call at a time.
        """
        from voskit.evaluators.prompts.base import build_prompter, check_result

        if prompter not in self._offered:
            raise ValueError(f"there is no prompter {prompter!r} here: choose from {', '.join(self._offered)}")
        if prompter not in self._prompters:
            self._prompters[prompter] = build_prompter(prompter)
        if self._image is None or self._image[:2] != (clip.id, number):
            self._image = (clip.id, number, self._opened(clip).annotation.image(number))
        image = self._image[2]
        return check_result(self._prompters[prompter].segment(image, points=points, box=box, mask=mask), image)

    # changes ---------------------------------------------------------------------------------------------------------

    def undo(self, clip: ProjectClip) -> tuple[str, list[int]] | None:
        """Undo a clip's last change, as :meth:`Annotation.undo` does.

        Raises:
            BusyError: a queued or running propagation, which may be based on the change, was started after it.
        """
        annotation = self._opened(clip).annotation
        if any(job.since is annotation.last_change for job in self.jobs.active(clip.id, "propagate")):
            raise BusyError("a propagation is running: stop it first")
        return annotation.undo()

    def _watch(self, clip: ProjectClip) -> None:
        """Announce the changes of an open clip's masks."""
        opened = self._opened(clip)

        def changed(frames: list[int]) -> None:
            opened.changes += 1
            self.hub.publish("clip", clip.id, lambda: {"clip": clip.id, **self._changes(opened, frames)})

        opened.annotation.listener = changed

    def _changes(self, opened: OpenClip, frames: list[int] | None) -> dict[str, Any]:
        """Return the state of some frames, and a summary of all. None: all frames that have a mask."""
        annotation = opened.annotation
        changes = opened.changes  # read first, so that the rest is at least as recent
        counts = annotation.given_counts
        objects = [
            {"id": i, "name": one.name or f"Object {i}", "color": one.color, "visible": one.visible,
             "locked": one.locked, "given": counts.get(i, 0)}
            for i, one in annotation.objects.items()
        ]  # fmt: skip
        values: dict[str, Any] = {
            "changes": changes,
            "revisions": annotation.revisions if frames is None else {n: annotation.revision(n) for n in frames},
            "given": annotation.given,
            "masked": annotation.masked,
            "undo": annotation.undo_text,
            "redo": annotation.redo_text,
            "objects": objects,
        }
        if frames is not None:
            values["quality"] = {n: dict(annotation.confidence(n)) for n in frames}
        return values

    def _opened(self, clip: ProjectClip) -> OpenClip:
        if clip.opened is None:
            raise ValueError(clip.error or f"{clip.name} is being opened: wait a moment")
        return clip.opened

    def _project_changed(self) -> None:
        self.hub.publish("project", "", {})

    def _clip_changed(self, clip: ProjectClip | None) -> None:
        if clip is None:
            self._project_changed()
            return
        if clip.state == "ready":
            self._watch(clip)
            threading.Thread(target=self._prepare, args=[clip], name="prepare", daemon=True).start()
        if clip.state == "failed":
            self.on_failure(clip)
        self.hub.publish(
            "clip", clip.id, {"clip": clip.id, "state": clip.state, "done": clip.done, "error": clip.error}
        )
        if clip.state in ("ready", "failed"):
            self._project_changed()

    def _prepare(self, clip: ProjectClip) -> None:
        """Run slow tasks after the page is ready: imports, weights, scene cuts."""
        if not self._formats:
            from voskit.evaluators.exports.base import EXPORTS

            about = {name: (EXPORTS.get(name).__doc__ or "").partition("\n")[0] for name in EXPORTS}
            self._formats = [{"name": name, "about": line.replace("``", "")} for name, line in about.items()]
            self._project_changed()
        self.segmenter.start()
        if clip.opened is not None and clip.opened.cuts is None:
            try:
                self._find_cuts(clip, clip.opened)
            except (ValueError, OSError) as error:  # closed in the meantime, or a full disk
                logger.debug("scene cuts of %s: %s", clip.name, error)

    def _find_cuts(self, clip: ProjectClip, opened: OpenClip) -> None:
        """Detect the clip's scene cuts while no job runs, with at most half a CPU core."""
        from voskit.evaluators.cuts import CutDetector

        detector, cuts, start = CutDetector(), [], time.perf_counter()
        for frame in opened.source:
            if detector.starts_shot(frame.image):
                cuts.append(frame.index)
            while self.segmenter.state == "loading" or any(job.active for job in self.jobs):
                time.sleep(0.5)
            if self._closed or clip not in self.project.clips:
                return
            time.sleep(min(time.perf_counter() - start, 0.5))
            start = time.perf_counter()
        opened.cuts = cuts
        self.hub.publish("clip", clip.id, {"clip": clip.id, "cuts": cuts})

    def _job_changed(self, job: Job) -> None:
        self.hub.publish("job", str(job.id), job.to_json)
