"""VISOR dataset (Darkhalil et al., NeurIPS 2022)."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("visor")
class VISOR(DatasetConfig):
    """EPIC-KITCHENS VISOR, converted to the DAVIS layout by VISOR-VOS."""

    title = "VISOR"
    folder = "VISOR"
    roots = ("", "VISOR", "VISOR_2022")
    splits = ("val", "val_unseen", "train")
    frames = ("JPEGImages/480p/{video}",)
    masks = ("Annotations/480p/{video}",)
    ground_truth = ("Annotations/480p/{video}",)
    video_list = ("ImageSets/2022/{split}.txt",)
    archive = "visor"
    submit_given_frame = False
    object_names = ("{split}_data_mapping.json", "val_data_mapping.json")
    server = True
    scoring = "visor"
