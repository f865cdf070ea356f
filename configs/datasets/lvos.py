"""LVOS v1 and v2."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("lvos")
class LVOS(DatasetConfig):
    """Long videos (Hong et al., ICCV 2023). Objects appear in any frame; names count in steps of five."""

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
    """Hong et al., 2024."""

    title = "LVOS v2"
    folder = "LVOSv2"
    roots = ("", "LVOSv2", "LVOS_V2")
    server = False
    scoring = "lvosv2"
