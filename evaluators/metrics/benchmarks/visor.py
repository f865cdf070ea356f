"""Scorer of EPIC-KITCHENS VISOR, semi-supervised (Darkhalil et al., NeurIPS 2022)."""

from __future__ import annotations

from voskit.evaluators.metrics.base import SCORERS, Option
from voskit.evaluators.metrics.semi_supervised import DavisFolders, DavisStyle, SemiRules


class Visor(DavisStyle):
    """The DAVIS 2017 metric, but with the last frame counted."""

    options = {"split": Option("val", None, "a list in ImageSets/2022: val is scored whole, val_unseen separately")}
    folders = DavisFolders("ImageSets/2022", "Annotations/480p", "JPEGImages/480p")
    rules = SemiRules(skip_last=False)


SCORERS.register("visor")(Visor("visor"))
