"""Your own dataset, described by a JSON file (see ``voskit.dataloaders.datasets.open_dataset``)."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("custom")
class Custom(DatasetConfig):
    """Folders of frames or video files, and folders of masks with the names of their frames."""

    title = "your own"
    splits = ("all",)
    frames = ("frames/{video}",)
    masks = ("masks/{video}",)
    ground_truth = ("ground_truth/{video}",)
    video_list = ("{split}.txt",)
    index_required = False
    given = "all"
    ignore_id = None
