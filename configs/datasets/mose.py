"""MOSE v1 and v2 datasets (Ding et al., ICCV 2023 and 2025)."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("mosev1")
class MOSEv1(DatasetConfig):
    """MOSE v1 (Ding et al., ICCV 2023)."""

    title = "MOSE v1"
    folder = "MOSE"
    roots = ("", "MOSE", "MOSEv1")
    splits = ("val", "test", "train")
    split_folders = ("valid", "test", "train")
    frames = ("{split}/JPEGImages/{video}", "JPEGImages/{video}")
    masks = ("{split}/Annotations/{video}", "Annotations/{video}")
    ground_truth = ("{split}/Annotations/{video}", "Annotations/{video}")
    index_required = False
    frame_step = 1
    server = True
    scoring = "mosev1"


@register_dataset("mosev2")
class MOSEv2(MOSEv1):
    """MOSE v2 (Ding et al., 2025)."""

    title = "MOSE v2"
    folder = "MOSEv2"
    roots = ("", "MOSEv2")
    meta = ("{split}/meta.json", "meta.json")
    meta_format = "objects"
    scoring = "mosev2"
