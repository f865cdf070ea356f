"""Validation: score a network during its training."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from voskit.configs import ModelConfig, PropagationConfig
from voskit.dataloaders.datasets import Dataset
from voskit.dataloaders.files import atomic_write_text
from voskit.evaluators.benchmarks.examples import ExampleWatch, VideoExample
from voskit.evaluators.benchmarks.folder import EvaluationFolder
from voskit.evaluators.benchmarks.propagation import PropagationEvaluation
from voskit.evaluators.benchmarks.referring import ReferringEvaluation
from voskit.evaluators.benchmarks.run import dataset_settings
from voskit.evaluators.benchmarks.scoring import DatasetScoring
from voskit.evaluators.metrics.report import headline
from voskit.evaluators.referring import ReferringSegmenter
from voskit.evaluators.segmenter import VideoSegmenter
from voskit.networks.models.base import Network


@dataclass(frozen=True)
class Share:
    """Every ``count``-th item from number ``rank`` on: the items of one of several processes."""

    rank: int = 0
    count: int = 1

    def items(self, count: int) -> Iterator[int]:
        """Yield the numbers of this share from 0 to ``count - 1``."""
        yield from range(self.rank, count, self.count)


class Validation:
    """A validation on a dataset: call it with a network to get the benchmark's main score.

    The score equals that of ``voskit eval``, which also uses the authors' settings for the dataset. ``examples`` has
    frames of the first videos of the last call with masks and confidences, which the trainer writes to TensorBoard; it
    stays empty for models with text prompts.

    Args:
        dataset: an opened dataset with its ground truth.
        output: folder of the last call's results.
        share: the videos of this process.
        wait: a barrier, which returns when all processes have called it.
        config: config of the networks, to check that the dataset fits; None: not known yet.

    Raises:
        ValueError: the dataset can't be scored, or it lacks the masks or text prompts that the network needs.
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

    def __call__(self, network: Network) -> float:
        """Return the main score of the benchmark, such as J&F; NaN on all processes except the first.

        Raises:
            ValueError: a video can't be read or scored.
        """
        is_first = self.share.rank == 0
        self.examples = []
        if is_first:
            shutil.rmtree(self.output, ignore_errors=True)
            self.output.mkdir(parents=True)
            atomic_write_text(self.output / "settings.json", "{}\n")  # all processes expect this file
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
                self.dataset, self.output, {}, watch=watch if self.share.rank == 0 else None
            )
            evaluation.run(VideoSegmenter(network), self.share, progress=False)
            self.examples = [] if watch is None else watch.examples
            return evaluation
        referring = ReferringEvaluation(self.dataset, self.output, {})
        referring.run(ReferringSegmenter(network), self.share, progress=False)
        return referring
