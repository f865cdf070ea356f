"""Validation: scoring a network during training."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from voskit.configs import ModelConfig, PropagationConfig
from voskit.dataloaders.datasets import Dataset
from voskit.dataloaders.files import atomic_write_text, make_folder
from voskit.evaluators.benchmarks.examples import ExampleWatch, VideoExample
from voskit.evaluators.benchmarks.folder import EvaluationFolder
from voskit.evaluators.benchmarks.propagation import PropagationEvaluation
from voskit.evaluators.benchmarks.referring import ReferringEvaluation
from voskit.evaluators.benchmarks.run import dataset_settings
from voskit.evaluators.benchmarks.scoring import UNPACKED, DatasetScoring
from voskit.evaluators.metrics.report import headline
from voskit.evaluators.parallel.work_queue import Share
from voskit.evaluators.referring import ReferringSegmenter
from voskit.evaluators.segmenter import VideoSegmenter
from voskit.networks.models.base import Network

_ENTRIES = (
    *("Annotations", "Scores", ".partial", ".failures", ".inputs", ".timing", "timing.json"),
    *("scores.json", "scores_*.csv", "scores_frames.png", "validation.*", f"{UNPACKED}*", ".*.tmp*"),
)
"""Patterns of a validation's files and folders, except its settings."""
_SETTINGS = "{}\n"
"""Content of ``settings.json``, by which the folder of an earlier validation is recognized."""


class Validation:
    """Validation on a dataset. Call it with a network to get the benchmark's main score.

    The score equals that of ``voskit eval``: both use the authors' settings for the dataset. After a call, ``examples``
    has frames of its first videos with masks and confidences, which the trainer writes to TensorBoard; it stays empty
    for models with text prompts.

    Args:
        dataset: an opened dataset with its ground truth.
        output: folder for the last call's results: new, empty, or that of an earlier validation.
        share: this process's share of the videos.
        wait: a barrier, which returns when all processes have called it.
        config: config of the networks, to check that the dataset fits; None: not known yet.

    Raises:
        ValueError: the dataset can't be scored, it lacks the masks or text prompts that the network needs, or
            ``output`` contains something else.
    """

    def __init__(
        self,
        dataset: Dataset,
        output: str | os.PathLike[str],
        share: Share | None = None,
        wait: Callable[[], None] = lambda: None,
        *,
        config: ModelConfig | None = None,
    ) -> None:
        where = f"{dataset.name} {dataset.split} can't be used for validation"
        masks, prompts = (any(getattr(v, what) for v in dataset) for what in ("given", "expressions"))
        if not masks and not prompts:
            raise ValueError(f"{where}: it has neither masks nor text prompts")
        if config is not None and not (masks if isinstance(config, PropagationConfig) else prompts):
            needed = "masks" if isinstance(config, PropagationConfig) else "text prompts"
            raise ValueError(f"{where}: {type(config).__name__} needs {needed}")
        if obstacle := DatasetScoring(dataset).obstacle:
            raise ValueError(f"{where}: {obstacle}")
        self.dataset, self.output, self.share, self.wait = dataset, Path(output), share or Share(), wait
        self.examples: list[VideoExample] = []
        _check_output(self.output)

    def __call__(self, network: Network) -> float:
        """Return the benchmark's main score, such as J&F; NaN in all processes except the first.

        Raises:
            ValueError: a video can't be read or scored, or ``output`` contains something else.
        """
        is_first = self.share.index == 0
        self.examples = []
        if is_first:
            _check_output(self.output)
            make_folder(self.output)
            atomic_write_text(self.output / "settings.json", _SETTINGS)  # all processes expect this file
            _remove_results(self.output)
        self.wait()
        with dataset_settings(self.dataset.name, network):
            evaluation = self._run(network)
        self.wait()
        if not is_first:
            return math.nan
        if failures := evaluation.failures():
            raise ValueError("; ".join(f"video {name}: {reason}" for name, reason in failures.items()))
        scores = evaluation.finish("validation")
        assert scores is not None
        return headline(scores)[1]

    def _run(self, network: Network) -> EvaluationFolder:
        """Segment the videos of this process."""
        if isinstance(network.config, PropagationConfig):
            watch = ExampleWatch()
            evaluation = PropagationEvaluation(
                self.dataset, self.output, {}, watch=watch if self.share.index == 0 else None
            )
            evaluation.run(VideoSegmenter(network), self.share, progress=False)
            self.examples = [] if watch is None else watch.examples
            return evaluation
        referring = ReferringEvaluation(self.dataset, self.output, {})
        referring.run(ReferringSegmenter(network), self.share, progress=False)
        return referring


def _check_output(folder: Path) -> None:
    """Raise ValueError if a folder has files that aren't those of an earlier validation."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    settings = folder / "settings.json"
    if not settings.is_file() or settings.read_bytes() != _SETTINGS.encode():
        raise ValueError(f"{folder} contains files that no validation wrote: give another folder, or move them away")


def _remove_results(folder: Path) -> None:
    """Remove the results of an earlier validation, but no other files."""
    for path in [path for pattern in _ENTRIES for path in folder.glob(pattern)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
