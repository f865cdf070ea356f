"""BURST dataset (Athar et al., WACV 2023)."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("burst")
class BURST(DatasetConfig):
    """BURST with given first masks, stored as run-length encodings in one JSON file.

    If the given masks exist as PNG files, which JointFormer reads, these are used instead. The training split is
    published as one file, ``train.json``, with all masks.
    """

    title = "BURST"
    folder = "BURST"
    roots = ("", "BURST")
    splits = ("val", "test", "train")
    frames = ("{split}/JPEGImages/{dataset}_-_{sequence}", "frames/{split}/{dataset}/{sequence}")
    given_masks = ("{split}/Annotations_first_only/{dataset}_-_{sequence}",)
    meta = (
        "{split}/first_frame_annotations.json",
        "annotations/{split}/first_frame_annotations.json",
        "{split}/all_classes.json",
        "annotations/{split}/all_classes.json",
        "{split}/train.json",
        "annotations/{split}/train.json",
    )
    ground_truth = (
        "{split}/all_classes.json",
        "annotations/{split}/all_classes.json",
        "{split}/train.json",
        "annotations/{split}/train.json",
    )
    meta_format = "burst"
    given = "all"
    wanted = "listed"
    archive = "burst"
    archive_suffix = ".json"
    scoring = "burst"
