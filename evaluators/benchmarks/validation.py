"""Scoring a network while it is trained."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from voskit.configs import ModelConfig, PropagationConfig
from voskit.dataloaders.datasets import Dataset
from voskit.dataloaders.files import atomic_write_text
from voskit.evaluators.benchmarks.folder import EvaluationFolder
from voskit.evaluators.benchmarks.propagation import Evaluation
from voskit.evaluators.benchmarks.referring import ReferringEvaluation
from voskit.evaluators.benchmarks.scoring import DatasetScoring
from voskit.evaluators.metrics.report import headline
from voskit.evaluators.referring import ReferringSegmenter
from voskit.evaluators.segmenter import VideoSegmenter


@dataclass(frozen=True)
class Share:
    """Every ``count``-th item, beginning with number ``rank``: what one of several processes works off."""

    rank: int = 0
    count: int = 1

    def items(self, count: int) -> Iterator[int]:
        """Its numbers from 0 to ``count - 1``."""
        yield from range(self.rank, count, self.count)


class Validation:
    """Segments a dataset and scores the results: called with a network, gives the benchmark's main figure.

    The figure is that of ``tools/eval.py``: settings that the network's authors chose for the dataset hold.

    Args:
        dataset: an opened dataset with its ground truth.
        output: folder for the results of the last call.
        share: the videos of this process.
        wait: returns when all processes have called it.
        config: that of the networks to come; None: not known yet.

    Raises:
        ValueError: the dataset can't be scored, or gives nothing that a network could be told its objects by.
    """

    def __init__(
        self,
        dataset: Dataset,
        output: Path,
        share: Share | None = None,
        wait: Callable[[], None] = lambda: None,
        *,
        config: ModelConfig | None = None,
    ) -> None:
        where = f"{dataset.name} {dataset.split} can't be used for validation"
        masks, sentences = (any(getattr(v, what) for v in dataset) for what in ("given", "expressions"))
        if not masks and not sentences:
            raise ValueError(f"{where}: it gives neither masks nor sentences")
        if config is not None and not (masks if isinstance(config, PropagationConfig) else sentences):
            raise ValueError(f"{where}: {type(config).__name__} is told its objects by {_told_by(config)}")
        if obstacle := DatasetScoring(dataset).obstacle:
            raise ValueError(f"{where}: {obstacle}")
        self.dataset, self.output, self.share, self.wait = dataset, output, share or Share(), wait

    def __call__(self, network: nn.Module) -> float:
        """The main figure of the benchmark, such as J&F; NaN on all processes but the first.

        Raises:
            ValueError: a video can't be read or scored.
        """
        is_first = self.share.rank == 0
        if is_first:
            shutil.rmtree(self.output, ignore_errors=True)
            self.output.mkdir(parents=True)
            atomic_write_text(self.output / "settings.json", "{}\n")  # which all processes look for
        self.wait()
        with _settings_for(self.dataset.name, network):
            evaluation = self._run(network)
        self.wait()
        if not is_first:
            return math.nan
        if failures := evaluation.failures():
            raise ValueError("; ".join(f"video {name}: {reason}" for name, reason in failures.items()))
        scores = evaluation.finish("validation")
        assert scores is not None
        return headline(scores)[1]

    def _run(self, network: nn.Module) -> EvaluationFolder:
        """Segment the videos of this process."""
        if isinstance(network.config, PropagationConfig):
            evaluation = Evaluation(self.dataset, self.output, {})
            evaluation.run(VideoSegmenter(network), self.share, progress=False)
            return evaluation
        by_sentences = ReferringEvaluation(self.dataset, self.output, {})
        by_sentences.run(ReferringSegmenter(network), self.share, progress=False)
        return by_sentences


def _told_by(config: ModelConfig) -> str:
    return "masks" if isinstance(config, PropagationConfig) else "sentences"


@contextmanager
def _settings_for(dataset: str, network: Any) -> Iterator[None]:
    """Let the network's config be what its authors chose for a dataset, for a while."""
    own = network.config
    network.config = own.override(**own.dataset_settings.get(dataset, {}))
    try:
        yield
    finally:
        network.config = own
