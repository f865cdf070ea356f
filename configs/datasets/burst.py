"""BURST dataset (Athar et al., WACV 2023)."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("burst")
class BURST(DatasetConfig):
    """BURST with given first masks. Masks are run-length encodings in one JSON file."""

    title = "BURST"
    folder = "BURST"
    roots = ("", "BURST")
    splits = ("val", "test", "train")
    frames = ("{split}/JPEGImages/{dataset}_-_{sequence}", "frames/{split}/{dataset}/{sequence}")
    meta = ("{split}/first_frame_annotations.json", "annotations/{split}/first_frame_annotations.json")
    ground_truth = ("{split}/all_classes.json", "annotations/{split}/all_classes.json")
    meta_format = "burst"
    given = "all"
    wanted = "listed"
    archive = "burst"
    archive_suffix = ".json"
    scoring = "burst"
