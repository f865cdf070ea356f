"""Scorer of VOST: J over all frames and over the last quarter (Tokmakov et al., CVPR 2023)."""

from __future__ import annotations

from voskit.evaluators.metrics.base import SCORERS, Option, Request, Scores
from voskit.evaluators.metrics.measures import statistics
from voskit.evaluators.metrics.semi_supervised import DavisFolders, DavisStyle, SemiRules, score_semi_supervised

_KEYS = ("J-Mean", "J-Recall", "J-Decay", "J_last-Mean", "J_last-Recall", "J_last-Decay")


class Vost(DavisStyle):
    """J, and J_last over the last quarter of the counted frames, which the paper calls J_tr."""

    options = {"split": Option("val", None, "a list in ImageSets")}
    folders = DavisFolders("ImageSets", "Annotations", "JPEGImages")
    rules = SemiRules(boundary=False, refuse_unknown=False)

    def run(self, request: Request) -> Scores:
        """Score all sequences of the split."""
        result = score_semi_supervised(request, self.videos(request), self.rules, _KEYS)
        for row in result.per_object.values():
            row |= statistics.summary("J_last", row["J_frames"][int(0.75 * len(row["J_frames"])) :])
        tables = result.tables(_KEYS)
        return Scores(self.name, dict(request.options), tables, ("J-Mean", "J_last-Mean"), result.frames)


SCORERS.register("vost")(Vost("vost"))
