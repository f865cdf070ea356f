"""Flags of ``voskit train``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from voskit.configs import get_model_config
from voskit.configs.stages import get_stage_config

if TYPE_CHECKING:
    from voskit.evaluators.benchmarks.validation import Validation
    from voskit.trainers.distributed import Processes


@dataclass(frozen=True, kw_only=True)
class TrainArgs:
    """Train a model through a stage."""

    model: str = "aott"
    """Model of the zoo."""
    stage: str = "pre"
    """Training stage."""
    exp_name: str = "default"
    """Experiment: the first part of the name of the run's folder."""
    data_path: Annotated[Path, tyro.conf.arg(aliases=["--data-root"])] = Path("datasets")
    """Folder with the training data."""
    output_path: Path = Path("results")
    """Folder of all runs."""
    ckpt_path: Path | None = None
    """Initial weights. Default: those of the previous stage of the experiment, else the encoder's ImageNet weights."""
    encoder_ckpt: Path | None = None
    """ImageNet weights of the (image) encoder for a first stage; later stages don't read them. Default: the model's
    files, downloaded once (see voskit weights)."""
    gpu_num: int = 1
    """Number of processes on this machine: one for each GPU, or several on the CPU."""
    device: str | None = None
    """cuda, mps or cpu. Default: the best one."""
    amp: bool = False
    """Mixed precision: fp16 with loss scaling on CUDA, bf16 elsewhere."""
    accumulate: int = 1
    """Number of parts into which each process splits its share of a batch, to save memory."""
    compile: bool = False
    """Fuse operations with torch.compile. The first steps take minutes."""
    checkpoint_activations: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    seed: int = 0
    """Seed of initial weights, clips and augmentation."""
    val_dataset: str | None = None
    """Dataset (a name or a JSON file) on which to score the averaged weights at each checkpoint, to keep the best."""
    val_split: str | None = None
    """Split of that dataset. Default: its first one."""
    val_root: Path | None = None
    """Folder with that dataset."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the stage's config to change, such as batch_size=4."""
    set_model: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the model's config to change."""

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of ``voskit.train``.

        Raises:
            ValueError: an unknown model, stage or field (similar names are suggested), or no processes.
        """
        if self.gpu_num < 1:
            raise ValueError(f"--gpu_num, the number of processes, must be at least 1, got {self.gpu_num}")
        for flag in ("val_split", "val_root"):
            if getattr(self, flag) is not None and self.val_dataset is None:
                raise ValueError(f"--{flag} is for --val_dataset")
        same = ("amp", "accumulate", "compile", "checkpoint_activations", "seed")
        return {
            "data": self.data_path,
            "output": self.output_path,
            "experiment": self.exp_name,
            "checkpoint": self.ckpt_path,
            "encoder_checkpoint": self.encoder_ckpt,
            "stage_fields": get_stage_config(self.stage).changes_from_text(*self.set),
            "model_fields": get_model_config(self.model).changes_from_text(*self.set_model),
            **{name: getattr(self, name) for name in same},
        }

    def build_validation(self, processes: Processes) -> Validation | None:
        """Build the validation that ``val_dataset`` asks for."""
        if self.val_dataset is None:
            return None
        from voskit.dataloaders.datasets import open_dataset
        from voskit.evaluators.benchmarks.validation import Validation
        from voskit.evaluators.parallel.work_queue import Share
        from voskit.trainers.run import run_folder

        name = self.val_dataset
        dataset = processes.attempt(lambda: open_dataset(name, self.val_root, split=self.val_split))
        folder = run_folder(self.output_path, self.exp_name, self.model, self.stage) / "validation"
        share = Share(processes.rank, processes.count)
        return Validation(dataset, folder, share, processes.agree, config=get_model_config(self.model))
