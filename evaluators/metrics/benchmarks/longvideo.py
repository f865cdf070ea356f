"""Scorer of Long-Time Video (Liang et al., NeurIPS 2020), 1x and 3x. Only annotated frames are read."""

from __future__ import annotations

from voskit.dataloaders.datasets.layout import subfolders
from voskit.evaluators.metrics.base import SCORERS, Option, Request, VideoFolders
from voskit.evaluators.metrics.semi_supervised import DavisFolders, DavisStyle, SemiRules


class LongTimeVideo(DavisStyle):
    """The DAVIS 2017 metric under one of two protocols, ``davis`` and ``afburr``."""

    options = {
        "split": Option("val", None, "a list in the data root; without val.txt, all sequences"),
        "reading": Option(
            "davis",
            ("davis", "afburr"),
            "davis: without the first and the last annotated frame, as XMem and later papers report; afburr: the "
            "dataset authors' scorer, which counts the last frame and reads 255 in a prediction as object 1",
        ),
    }
    folders = DavisFolders("", "Annotations", "JPEGImages")

    def find(self, request: Request) -> dict[str, VideoFolders]:
        """Return the sequences in the list; if there is no list, as in the published folders, return all."""
        masks, split = request.data_root / self.folders.masks, request.options["split"]
        if split == "val" and masks.is_dir() and not (request.data_root / "val.txt").is_file():
            return self.folders.videos(request.data_root, subfolders(masks))
        return super().find(request)

    def rules_for(self, request: Request) -> SemiRules:
        """Return the rules for the chosen protocol."""
        authors = request.options["reading"] == "afburr"
        return SemiRules(skip_last=not authors, void_is_one=authors)


SCORERS.register("longvideo")(LongTimeVideo("longvideo"))
