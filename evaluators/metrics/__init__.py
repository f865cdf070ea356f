"""The official measures of the benchmarks, by name: ``score("davis2017", data_root, results)``."""

from voskit.evaluators.metrics import (  # noqa: F401 - registration
    a2d,
    burst,
    davis2016,
    davis2017,
    davis2017_unsupervised,
    folder,
    lvos,
    mosev2,
    referring,
    vipseg,
    ytvos,
)
from voskit.evaluators.metrics.base import SCORERS, Scores, score

list_scorers = SCORERS.names

__all__ = ["SCORERS", "Scores", "list_scorers", "score"]
