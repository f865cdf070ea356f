"""Flags of ``voskit eval``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from voskit.dataloaders.files import check_output_folder
from voskit.tools.flags.model import ModelArgs

if TYPE_CHECKING:
    from voskit.dataloaders.datasets import Dataset
    from voskit.dataloaders.datasets.a2d import SentenceSet


@dataclass(frozen=True, kw_only=True)
class EvalArgs(ModelArgs):
    """Evaluate a model on a benchmark."""

    dataset: str
    """A registered dataset, or a JSON file that describes your own."""
    split: str | None = None
    """A split of the dataset. Default: the first."""
    data_root: Annotated[Path | None, tyro.conf.arg(aliases=["--data-path"])] = None
    """Folder that holds the dataset."""
    output_path: Path = Path("results")
    """Folder of the results. Use a separate folder for each setting."""
    exp_name: str = "default"
    """Name of the experiment, used in the archive's name."""
    stage: str | None = None
    """Training stage, used in the archive's name, as is the name of the checkpoint."""
    full_resolution: bool = False
    """DAVIS: read the frames at full resolution."""
    results_at: str = ""
    """With --full_resolution: resolution of the results, such as 480p. Default: that of the frames."""
    save_scores: bool = False
    """Also write the probabilities of all frames, for voskit merge."""
    frames: int = 5
    """A2D-Sentences and JHMDB-Sentences: length of the window around the annotated frame."""
    gpu_num: int = 1
    """Processes on this machine. With CUDA they share its GPUs, one GPU for each process if possible."""
    videos_at_once: int = 1
    """Videos that each process takes through the network as a batch, for GPUs that one video doesn't fill."""

    def open_benchmark(self) -> Dataset | SentenceSet:
        """Open the dataset, after checking the flags and that the model can take its prompts.

        Raises:
            ValueError, OSError: a flag or the dataset; the message names it.
        """
        for flag in ("videos_at_once", "gpu_num"):
            if getattr(self, flag) < 1:
                raise ValueError(f"--{flag} must be at least 1, got {getattr(self, flag)}")
        check_output_folder(self.output_path, "--output_path ")
        from voskit.dataloaders.datasets.a2d import SENTENCE_SETS

        if self.dataset not in SENTENCE_SETS and self.frames != type(self).frames:
            raise ValueError(f"--frames is for {' and '.join(SENTENCE_SETS)}, not {self.dataset}")
        if self.results_at and not self.full_resolution:
            raise ValueError("--results_at is for --full_resolution: add that flag, or leave out --results_at")
        for flag in ("split", "full_resolution", "results_at", "propagate"):
            if self.dataset in SENTENCE_SETS and getattr(self, flag):
                raise ValueError(f"--{flag}: {self.dataset} has no such option: leave it out")
        from voskit.evaluators.benchmarks.run import check_task, open_benchmark

        options: dict[str, Any] = {"full_resolution": True} if self.full_resolution else {}
        if self.results_at:
            options["results_at"] = self.results_at
        dataset = open_benchmark(self.dataset, self.data_root, split=self.split, **options)
        check_task(dataset, self.model, self.task)
        return dataset
