"""Report of a segmented clip: frames, objects, speed, memory."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from voskit.dataloaders.files import atomic_write_text

REPORT = "report.json"


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
    """The content of ``report.json``, which lies beside a clip's results; ``complete`` is written last."""

    name: str
    frames: int = 0
    objects: int = 0
    names: dict[int, str] = dataclasses.field(default_factory=dict)
    """Names of the objects by id, as their masks state them: names of files, labels, categories."""
    seconds: float = 0.0
    depths: dict[int, int] = dataclasses.field(default_factory=dict)
    """Frames at each depth of the network, for models with a choice of depths."""
    times: dict[str, float] = dataclasses.field(default_factory=dict)
    """Seconds at which each frame is shown, by its name; empty for images without a rate."""
    sentences: list[TextPrompt] = dataclasses.field(default_factory=list)
    """The text prompts, if any: the first one's object has id 1."""
    peak_memory: int | None = None
    """Most bytes in use after a frame, see :func:`~voskit.networks.memory_usage.memory_in_use`."""
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    """Everything that the masks depend on, beside the clip, see :mod:`voskit.evaluators.clips.resuming`."""
    cut: bool = False
    """The run was to stop after a number of frames."""
    complete: bool = False

    @classmethod
    def load(cls, folder: Path) -> ClipReport | None:
        """Read ``report.json``; None: there is none that this version wrote."""
        try:
            values = json.loads((folder / REPORT).read_text(encoding="utf-8"))
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
