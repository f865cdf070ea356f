"""VIPSeg and VSPW datasets: panoptic and semantic masks, propagated from the first frame."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("vipseg")
class VIPSeg(DatasetConfig):
    """VIPSeg (Miao et al., CVPR 2022). Masks are RGB: id = R + 256 G + 65536 B, 0 is void.

    These ids exceed 16 bits, so the segments of a video are numbered 1, 2, ... in ascending order of their ids.
    """

    title = "VIPSeg"
    task = "panoptic"
    folder = "VIPSeg/VIPSeg_720P"
    roots = ("", "VIPSeg_720P", "VIPSeg/VIPSeg_720P")
    splits = ("val", "test", "train")
    frames = ("images/{video}", "imgs/{video}")
    masks = ("panomasksRGB/{video}",)
    ground_truth = ("panomasksRGB/{video}",)
    meta = ("panoptic_gt_VIPSeg_{split}.json",)
    meta_format = "panoptic"
    fed = "listed"
    wanted = "listed"
    ignore_id = None
    copy_given_mask = False
    archive = "panoptic"
    archive_prefix = "pan_pred"
    server = True
    scoring = "vipseg"


@register_dataset("vspw")
class VSPW(DatasetConfig):
    """VSPW (Miao et al., CVPR 2021). Labels 0 and 255 are void, class = label - 1, and each class is one object."""

    title = "VSPW"
    task = "panoptic"
    folder = "VSPW_480p"
    roots = ("", "VSPW_480p", "VSPW")
    splits = ("val", "test", "train")
    frames = ("data/{video}/origin",)
    masks = ("data/{video}/mask",)
    ground_truth = ("data/{video}/mask",)
    video_list = ("{split}.txt",)
    scoring = ""  # its metric, the mean IoU of classes, is not implemented
