"""Official benchmark metrics, by name: ``score("davis2017", data_root, results)``."""

from voskit.evaluators.metrics import folder  # noqa: F401 - registration
from voskit.evaluators.metrics.base import SCORERS, Scores, score
from voskit.evaluators.metrics.benchmarks import (  # noqa: F401 - registration
    a2d,
    burst,
    davis,
    davis_unsupervised,
    longvideo,
    lvos,
    mose,
    refytvos,
    vipseg,
    visor,
    vost,
    youtubevos,
)

list_scorers = SCORERS.names

__all__ = ["SCORERS", "Scores", "list_scorers", "score"]
