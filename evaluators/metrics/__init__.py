"""The official measures of the benchmarks, by name: ``score("davis2017", data_root, results)``."""

from evaluators.metrics import (  # noqa: F401  (each registers its scorers)
    burst,
    davis2016,
    folder,
    lvos,
    mosev2,
    referring,
    semi_supervised,
    sentences,
    unsupervised,
    vipseg,
    ytvos,
)
from evaluators.metrics.base import SCORERS, Scores, score

list_scorers = SCORERS.names

__all__ = ["SCORERS", "Scores", "list_scorers", "score"]
