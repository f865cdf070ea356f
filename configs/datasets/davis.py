"""DAVIS 2016 and 2017 datasets (Perazzi et al., CVPR 2016; Pont-Tuset et al., 2017; Caelles et al., 2019)."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset

_SPLITS_2017 = ("val", "test-dev", "test", "test-challenge", "train")
_FOLDERS_2017 = ("val", "test-dev", "test-dev", "test-challenge", "train")  # AOT's "test" is test-dev


class DAVIS(DatasetConfig):
    """Layout of the DAVIS packages."""

    folder = "DAVIS"
    roots = ("", "DAVIS", "2017/trainval", "2017/{split}", "DAVIS/2017/trainval", "DAVIS/2017/{split}")
    resolutions = ("480p",)
    full_resolutions = ("Full-Resolution", "1080p")
    frames = ("JPEGImages/{resolution}/{video}",)
    masks = ("Annotations/{resolution}/{video}",)
    ground_truth = ("Annotations/{resolution}/{video}",)
    frame_step = 1
    result_folder = "480p"
    full_resolution_result_folder = "Full-Resolution"


@register_dataset("davis2016")
class DAVIS2016(DAVIS):
    """DAVIS 2016, with one object per video.

    Both packages can be read: that of 2017, and that of 2016, which lists pairs of files and has masks of 0 and 255. As
    in XMem, the list of the 2016 package may come from a 2017 package next to it.
    """

    title = "DAVIS 2016"
    roots = ("", "DAVIS", "2016", "DAVIS/2016", "2017/trainval", "DAVIS/2017/trainval")
    splits = ("val", "train", "trainval")
    video_list = (
        "ImageSets/2016/{split}.txt",
        "ImageSets/{resolution}/{split}.txt",
        "ImageSets/480p/{split}.txt",
        "../2017/trainval/ImageSets/2016/{split}.txt",
    )
    binary = True
    scoring = "davis2016"


@register_dataset("davis2017")
class DAVIS2017(DAVIS):
    """DAVIS 2017, semi-supervised."""

    title = "DAVIS 2017"
    splits = _SPLITS_2017
    split_folders = _FOLDERS_2017
    video_list = ("ImageSets/2017/{split}.txt",)
    server = True
    scoring = "davis2017"


@register_dataset("davis2017_unsupervised")
class DAVIS2017Unsupervised(DAVIS):
    """DAVIS 2017, unsupervised: no mask is given, and results contain up to 20 proposals."""

    title = "DAVIS 2017 unsupervised"
    task = "unsupervised"
    splits = _SPLITS_2017
    split_folders = _FOLDERS_2017
    video_list = ("ImageSets/2019/{split}.txt", "ImageSets/2017/{split}.txt")
    masks = ()
    ground_truth = ("Annotations_unsupervised/480p/{video}",)
    given = "none"
    max_proposals = 20
    server = True
    scoring = "davis2017_unsupervised"


@register_dataset("refdavis17")
class RefDAVIS17(DAVIS):
    """Ref-DAVIS17 (Khoreva et al., ACCV 2018): text prompts by two annotators, two each, for every object.

    Expression 4k + a belongs to object k + 1.
    """

    title = "Ref-DAVIS17"
    task = "referring"
    folder = "ref-davis"
    roots = ("", "ref-davis", "Ref-DAVIS17")
    splits = ("val", "train")
    split_folders = ("valid", "train")
    frames = ("DAVIS/JPEGImages/{resolution}/{video}", "{split}/JPEGImages/{video}", "JPEGImages/{resolution}/{video}")
    masks = ()
    ground_truth = (
        "DAVIS/Annotations_unsupervised/480p/{video}",
        "{split}/Annotations/{video}",
        "Annotations_unsupervised/480p/{video}",
    )
    meta = ("meta_expressions/{split}/meta_expressions.json",)
    meta_format = "expressions"
    given = "none"
    fed = "listed"
    wanted = "listed"
    frame_step = None
    result_folder = ""
    full_resolution_result_folder = ""
    archive = "annotators"
    scoring = "refdavis17"
