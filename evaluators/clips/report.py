"""Report of a segmented clip: frames, objects, speed, memory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from voskit.dataloaders.files import atomic_write_text, in_existing_form, load_json
from voskit.dataloaders.video.source import FrameSource

REPORT = "report.json"
CHECKPOINT = ".resume.pt"
"""Checkpoint of an interrupted run, see :mod:`voskit.evaluators.clips.resuming`."""
MEASURES = ("confidence", "margin")
"""Measures of ``VideoSegmenter.quality`` that a report keeps."""
_FAR = 300  # number of the last frame that is decoded to tell clips apart


def masks_folder(results: Path, video: str) -> Path:
    """Return the folder of a video's masks: ``<video>``, or ``<video>/masks`` of demo, batch and annotation.

    The folder may have the video's name in a different Unicode form.
    """
    own = in_existing_form(results, video)
    return own / "masks" if (own / "masks").is_dir() else own


class ResumeError(ValueError):
    """An interrupted run can't be resumed.

    Args:
        reason: why it can't.
        advice: what to do, for the message.
    """

    def __init__(self, reason: str, advice: str = "run without --resume to replace them") -> None:
        super().__init__(reason, advice)  # pickling passes them again
        self.reason = reason

    def __str__(self) -> str:
        return f"--resume: {': '.join(self.args)}"


@dataclasses.dataclass
class TextPrompt:
    """A text prompt and its scores."""

    text: str
    scores: list[float] = dataclasses.field(default_factory=list)
    """Probability of the chosen candidate, for each window of frames."""
    key_frame: str | None = None
    """The frame from which the object was propagated; None: it was segmented in each window."""


@dataclasses.dataclass
class ClipReport:
    """The content of ``report.json``, stored next to a clip's results; ``complete`` is written last."""

    name: str
    frames: int = 0
    objects: int = 0
    names: dict[int, str] = dataclasses.field(default_factory=dict)
    """Names of the objects by id, as given with their masks: file names, labels or categories."""
    seconds: float = 0.0
    depths: dict[int, int] = dataclasses.field(default_factory=dict)
    """Frames at each depth of the network, for models with a choice of depths."""
    quality: dict[str, str] = dataclasses.field(default_factory=dict)
    """Id, confidence and margin of each object by the name of the frame, see ``VideoSegmenter.quality``: text such as
    ``"1 0.9601 0.9560; 2 0.9180 0.9262"``, since a clip may have any length. ``measures`` reads it."""
    times: dict[str, float] = dataclasses.field(default_factory=dict)
    """Seconds at which each frame is shown, by its name; empty for images without a rate."""
    sentences: list[TextPrompt] = dataclasses.field(default_factory=list)
    """The text prompts, if any: the first one's object has id 1."""
    peak_memory: int | None = None
    """Peak memory after a frame, in bytes, see :func:`~voskit.networks.memory_usage.memory_in_use`."""
    source: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Properties that distinguish the clip from others of the same name, see :func:`clip_identity`."""
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    """Everything that the masks depend on, except the clip, see :mod:`voskit.evaluators.clips.resuming`."""
    masks: str = ""
    """Checksum of the user's masks, see ``FrameMasks.checksum``; empty for text prompts and in older reports."""
    cut: bool = False
    """The run had a limit on its number of frames."""
    complete: bool = False

    @classmethod
    def load(cls, folder: Path) -> ClipReport | None:
        """Read ``report.json``; None: there is none that this version wrote."""
        try:
            values = load_json(folder / REPORT)
            prompts = [TextPrompt(**prompt) for prompt in values.pop("sentences")]
            values.pop("fps")
            depths = {int(depth): count for depth, count in values.pop("depths").items()}
            values["names"] = {int(object_id): name for object_id, name in values.pop("names", {}).items()}
            return cls(**values, depths=depths, sentences=prompts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    @property
    def fps(self) -> float:
        """Frames per second, reading and writing included."""
        return self.frames / self.seconds if self.seconds else 0.0

    def summary(self) -> list[str]:
        """Return lines for a log: each text prompt with its mean score, then frames, objects, speed and memory."""
        lines = []
        for number, prompt in enumerate(self.sentences, 1):
            origin = "" if prompt.key_frame is None else f", propagated from frame {prompt.key_frame}"
            lines.append(f"id {number}: {prompt.text!r}, score {sum(prompt.scores) / len(prompt.scores):.2f}{origin}")
        memory = "" if self.peak_memory is None else f", {self.peak_memory / 2**30:.2f} GiB"
        return [*lines, f"{self.frames} frames, {self.objects} objects, {self.fps:.2f} frames/s{memory}"]

    def save(self, folder: Path) -> None:
        """Write ``report.json``."""
        values = {**dataclasses.asdict(self), "fps": round(self.fps, 3)}
        atomic_write_text(folder / REPORT, json.dumps(values, indent=2) + "\n")

    def measure(self, frame: str, quality: Mapping[int, Any]) -> None:
        """Record the quality of a frame's objects by id."""
        rows = (" ".join([str(i), *(f"{getattr(own, name):.4f}" for name in MEASURES)]) for i, own in quality.items())
        self.quality[frame] = "; ".join(rows)

    def measures(self, frame: str) -> dict[int, dict[str, float]]:
        """Return the network's measures of each object in a frame, by id."""
        rows = (row.split() for row in self.quality.get(frame, "").split("; ") if row)
        return {int(i): dict(zip(MEASURES, map(float, numbers), strict=True)) for i, *numbers in rows}

    def missing_masks(self, folder: Path) -> int:
        """Count the masks of a complete run that are missing from its folder."""
        return max(0, self.frames - sum(1 for _ in (folder / "masks").glob("*.png")))


def clip_identity(source: FrameSource) -> dict[str, Any]:
    """Return properties that distinguish a clip from others of the same name, wherever its file lies.

    They are its number of frames, their size, and checksums of the first and the middle frame, since many clips start
    with black frames; of long clips, frame 300 instead of the middle one, up to which a video would have to be decoded.
    A frame that can't be read is left out. Those of an excerpt are the whole clip's. Empty for cameras and streams.
    """
    source = source.whole
    try:
        source.check_rereadable()
    except ValueError:
        return {}
    identity: dict[str, Any] = {"frames": source.num_frames, "size": list(source.size)}
    middle = (source.num_frames or 0) // 2
    later = ("middle_frame", middle) if middle <= _FAR else (f"frame_{_FAR}", _FAR)
    for name, number in (("first_frame", 0), later):
        with suppress(ValueError, OSError), closing(source.between(number, number)) as frames:  # type: ignore[type-var]
            identity[name] = hashlib.sha256(next(frames).image.tobytes()).hexdigest()[:16]
    return identity


def check_same_clip(folder: Path, source: FrameSource) -> dict[str, Any]:
    """Check that results in a folder, if there are any, are of this clip; return its identity.

    Raises:
        ValueError: they are of another clip of the same name.
    """
    identity, before = clip_identity(source), ClipReport.load(folder)
    there = {} if before is None else before.source
    if different := [name.replace("_", " ") for name in identity if name in there and there[name] != identity[name]]:
        raise ValueError(
            f"{folder} holds results of another clip named {source.name}, which differs in {', '.join(different)}: "
            "give another output folder, or remove this one to replace them"
        )
    return identity
