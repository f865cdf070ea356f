"""Flags of ``voskit batch``."""

from __future__ import annotations

import dataclasses
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voskit.dataloaders.files import check_output_folder
from voskit.tools.command import quiet
from voskit.tools.flags.model import ModelArgs

if TYPE_CHECKING:
    from voskit.evaluators.batch.jobs import BatchJob
    from voskit.evaluators.batch.results import BatchResults
    from voskit.evaluators.batch.worker import BatchWorker

_NOT_OF_RESULTS = (
    "data_path", "mask", "output_path", "engine", "gpu_num", "gpus_per_worker", "scratch", "resume", "device",
    "threads",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BatchArgs(ModelArgs):
    """Segment many videos."""

    data_path: str
    """A list of videos (.csv or .jsonl with the fields video, mask or text, name), a folder of videos, or a folder of
    scenes; see docs/batch.md. A list may be an fsspec URL, such as s3://bucket/list.csv."""
    mask: Path | None = None
    """For a folder of videos: a folder with the mask of each video under the video's name."""
    output_path: str = "out"
    """Folder of the results, or an fsspec URL."""
    engine: Literal["auto", "processes", "torchrun", "slurm", "ray"] = "auto"
    """Workers: processes on this machine, ranks of torchrun, tasks of a Slurm array, or Ray. auto: by environment
    variables."""
    gpu_num: int = 1
    """Worker processes on this machine, or actors of Ray. With CUDA they share the GPUs; more workers than GPUs run
    videos side by side on a GPU."""
    gpus_per_worker: float | None = None
    """Ray: fraction of a GPU for each worker, such as 0.5. Default: 1 if the cluster has GPUs."""
    scratch: Path | None = None
    """With a URL as output: local folder for work in progress. Default: below the system's temporary folder."""
    resume: bool = True
    """Skip finished videos, and continue interrupted ones. --no-resume starts over."""
    complete_masks: bool = False
    """Masks of later frames show all objects: their black pixels are background, whatever was predicted."""
    backwards: bool = False
    """Also propagate objects to the frames before their masks."""
    fuse: bool = False
    """Segment frames between two masks in both directions, and fuse the results."""
    start: str | None = None
    """Begin each video at this frame, see voskit demo."""
    end: str | None = None
    """End each video with this frame."""
    max_frames: int | None = None
    """Stop after this many frames of each video."""
    fps: float | None = None
    """Constant frame rate of overlay and exported videos. Default: the times of the source, or 25 for images."""
    overlay: bool = True
    """Write the overlay videos."""
    palette: Literal["bright", "davis"] = "bright"
    """Colors of the objects in overlay video and contact sheet."""
    export: tuple[str, ...] = ()
    """Also write these formats, see docs/exports.md."""

    def check(self) -> None:
        """Raise ValueError if flags contradict each other, before anything is read or loaded."""
        for flag in ("gpu_num", "max_frames"):
            if (value := getattr(self, flag)) is not None and value < 1:
                raise ValueError(f"--{flag} must be at least 1, got {value}")
        if self.fps is not None and not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"--fps must be positive, got {self.fps}")
        if self.target_fps is not None and self.resume:
            raise ValueError("--target_fps: masks depend on the machine's speed and can't be resumed: add --no-resume")
        if self.output_path.startswith("memory:"):
            raise ValueError(f"--output_path {self.output_path}: results in memory are lost when the command ends")
        if "://" not in self.output_path:
            check_output_folder(Path(self.output_path), "--output_path ")
            if self.scratch is not None:
                raise ValueError(
                    "--scratch is for an --output_path that is a URL: results in a local folder don't need it"
                )
        if self.gpus_per_worker is not None and self.engine != "ray":
            raise ValueError("--gpus_per_worker is for --engine ray")
        if self.task == "referring":
            for flag in ("complete_masks", "backwards", "fuse"):
                if getattr(self, flag):
                    raise ValueError(f"--{flag} is for masks, but {self.model} takes text prompts")
        else:
            self.check_mask_flags()
        self.check_cuts(backwards=self.backwards, fuse=self.fuse)
        if self.export:
            from voskit.evaluators.exports.base import build_exports

            build_exports(self.export)

    def read_jobs(self) -> list[BatchJob]:
        """Return the videos. Raises ValueError and OSError for the list, or for prompts that the model can't take."""
        from voskit.evaluators.batch.jobs import read_jobs

        jobs = read_jobs(self.data_path, self.mask)
        text = self.task == "referring"
        if wrong := next((job for job in jobs if bool(job.text) != text), None):
            takes, has = ("text prompts", "a mask") if text else ("masks", "text prompts")
            raise ValueError(f"{self.data_path}: {self.model} takes {takes}, but {wrong.name} has {has}")
        if flag := next((flag for flag in ("backwards", "fuse", "propagate") if getattr(self, flag)), None):
            from voskit.evaluators.batch.storage import is_stream

            if stream := next((job.video for job in jobs if is_stream(job.video)), None):
                raise ValueError(
                    f"--{flag}: {stream} can be read only once, and forwards: download it, or take it off the list"
                )
        return jobs

    def results(self) -> BatchResults:
        """Open the records of the batch."""
        from voskit.evaluators.batch.results import BatchResults
        from voskit.evaluators.batch.storage import OutputStore

        fields = [field.name for field in dataclasses.fields(self) if field.name not in _NOT_OF_RESULTS]
        settings: dict[str, Any] = {name: _as_json(getattr(self, name)) for name in fields}
        return BatchResults(OutputStore(self.output_path, self.scratch), settings)

    def build_worker(self) -> BatchWorker:
        """Build the model and a worker with it, in the process that calls."""
        from voskit.evaluators.batch.worker import BatchWorker
        from voskit.evaluators.clips.scenes import ClipOptions
        from voskit.networks.devices import local_device
        from voskit.plugins import load_plugins

        load_plugins(())  # the plugins of the process that started this one
        options = ClipOptions.of(self)
        device = local_device(self.device)
        with quiet(logging.WARNING, "voskit.networks.build"):
            if self.task == "referring":
                segmenter = self.build_referring_segmenter(device)
                propagator = self.build_propagator(device, bounded=True)
                return BatchWorker(segmenter, self.results(), options, propagator)
            return BatchWorker(self.build_segmenter(device, bounded=True), self.results(), options)


def _as_json(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
