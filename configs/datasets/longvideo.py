"""Long-Time Video dataset (Liang et al., NeurIPS 2020)."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("longvideo")
class LongVideo(DatasetConfig):
    """Long-Time Video, and XMem's version with videos three times as long. Few frames have ground truth."""

    title = "Long-Time Video"
    folder = "long_video_set"
    roots = ("", "long_video_set")
    splits = ("1x", "3x")
    split_folders = ("long_video", "long_video_x3")
    frames = ("{split}/JPEGImages/{video}", "JPEGImages/{video}")
    masks = ("{split}/Annotations/{video}", "Annotations/{video}")
    ground_truth = ("{split}/Annotations/{video}", "Annotations/{video}")
    video_list = ("{split}/val.txt", "val.txt")
    index_required = False
    wanted = "annotated"
    scoring = "longvideo"
