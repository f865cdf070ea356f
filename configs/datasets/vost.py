"""VOST dataset (Tokmakov et al., CVPR 2023)."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("vost")
class VOST(DatasetConfig):
    """VOST: objects that change shape or appearance. 255 marks ignored pixels."""

    title = "VOST"
    folder = "VOST"
    roots = ("", "VOST")
    splits = ("val", "test", "train")
    frames = ("JPEGImages/{video}",)
    masks = ("Annotations/{video}",)
    ground_truth = ("Annotations/{video}",)
    video_list = ("ImageSets/{split}.txt",)
    scoring = "vost"
