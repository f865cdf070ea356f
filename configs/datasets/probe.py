"""Probe set: generated videos with exact ids (``datasets/Probe``)."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("probe")
class Probe(DatasetConfig):
    """Probe set. Each video tests one difficulty: look-alikes, absence, cuts, length, thin shapes or fast motion."""

    title = "Probe"
    folder = "Probe"
    splits = ("all", "lookalikes", "absence", "cuts", "long", "thin", "fast")
    frames = ("JPEGImages/{video}",)
    masks = ("Annotations/{video}",)
    ground_truth = ("Annotations/{video}",)
    video_list = ("ImageSets/{split}.txt",)
    frame_step = 1
    scoring = "davis2017"
