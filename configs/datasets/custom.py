"""One's own dataset, described by a JSON file: ``voskit.dataloaders.datasets.open_dataset`` documents it."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("custom")
class Custom(DatasetConfig):
    """A folder of frame folders or of video files, and a folder of masks that are called like their frames."""

    title = "one's own"
    splits = ("all",)
    frames = ("frames/{video}",)
    masks = ("masks/{video}",)
    ground_truth = ("ground_truth/{video}",)
    video_list = ("{split}.txt",)
    index_required = False
    given = "all"
    ignore_id = None
