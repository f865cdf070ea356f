"""LVOS v1 and v2 datasets (Hong et al., ICCV 2023 and 2024)."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("lvos")
class LVOS(DatasetConfig):
    """LVOS v1: long videos. Objects can appear in any frame, and frame numbers are five apart."""

    title = "LVOS v1"
    folder = "LVOS"
    roots = ("", "LVOS", "LVOSv1")
    splits = ("val", "test", "train")
    split_folders = ("valid", "test", "train")
    frames = ("{split}/JPEGImages/{video}",)
    given_masks = ("{split}/Annotations_first_only/{video}",)
    masks = ("{split}/Annotations/{video}",)
    ground_truth = ("{split}/Annotations/{video}",)
    meta = ("{split}/{split}_meta.json",)
    meta_format = "objects"
    given = "appearing"
    frame_step = 5
    archive_prefix = "Annotations"
    server = True
    scoring = "lvos"


@register_dataset("lvosv2")
class LVOSv2(LVOS):
    """LVOS v2, in the layout of v1."""

    title = "LVOS v2"
    folder = "LVOSv2"
    roots = ("", "LVOSv2", "LVOS_V2")
    server = False
    scoring = "lvosv2"
