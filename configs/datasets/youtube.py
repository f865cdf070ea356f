"""YouTube-VOS (Xu et al., 2018), Ref-YouTube-VOS (Seo et al., ECCV 2020) and MeViS (Ding et al., ICCV 2023)."""

from __future__ import annotations

from voskit.configs.datasets.base import DatasetConfig, register_dataset


class YouTubeVOS(DatasetConfig):
    """Layout of YouTube-VOS. Objects can appear in any frame; its mask then shows only the new ones.

    Frames at 6 fps are scored. ``val_all_frames`` segments the frames at 30 fps from the first scored one on, including
    those after the last scored one, and writes all of them. The submission contains only the scored ones.
    """

    splits = ("val", "val_all_frames", "test", "test_all_frames")
    split_folders = ("valid", "valid", "test", "test")
    all_frames_splits = ("val_all_frames", "test_all_frames")
    frames = ("{split}/JPEGImages/{video}",)
    all_frames = ("{split}_all_frames/JPEGImages/{video}", "all_frames/{split}_all_frames/JPEGImages/{video}")
    masks = ("{split}/Annotations/{video}",)
    ground_truth = ("reference/Annotations/{video}",)
    meta = ("{split}/meta.json",)
    meta_format = "objects"
    given = "all"
    fed = "listed"
    archive_prefix = "Annotations"
    server = True


@register_dataset("youtubevos2018")
class YouTubeVOS2018(YouTubeVOS):
    """YouTube-VOS 2018."""

    title = "YouTube-VOS 2018"
    folder = "YTB/2018"
    roots = ("", "2018", "YTB/2018", "YouTube2018", "YouTubeVOS-2018")
    scoring = "youtubevos2018"


@register_dataset("youtubevos2019")
class YouTubeVOS2019(YouTubeVOS):
    """YouTube-VOS 2019."""

    title = "YouTube-VOS 2019"
    folder = "YTB/2019"
    roots = ("", "2019", "YTB/2019", "YouTube", "YouTubeVOS-2019")
    scoring = "youtubevos2019"


@register_dataset("refytvos")
class RefYouTubeVOS(DatasetConfig):
    """Ref-YouTube-VOS. The meta file of the validation split also lists the test videos, which are left out."""

    title = "Ref-YouTube-VOS"
    task = "referring"
    folder = "ref-youtube-vos"
    roots = ("", "ref-youtube-vos")
    splits = ("val", "test")
    split_folders = ("valid", "test")
    frames = ("{split}/JPEGImages/{video}", "valid/JPEGImages/{video}")
    ground_truth = ("reference/mask_dict.json",)
    meta = ("meta_expressions/{split}/meta_expressions.json",)
    excluded_meta = ("meta_expressions/test/meta_expressions.json",)
    meta_format = "expressions"
    given = "none"
    fed = "listed"
    wanted = "listed"
    archive = "expressions"
    archive_prefix = "Annotations"
    server = True
    scoring = "refytvos"


@register_dataset("mevis")
class MeViS(RefYouTubeVOS):
    """MeViS."""

    title = "MeViS"
    folder = "mevis"
    roots = ("", "mevis", "MeViS")
    splits = ("val", "val_u")
    split_folders = ("valid", "valid_u")
    frames = ("{split}/JPEGImages/{video}",)
    ground_truth = ("{split}/mask_dict.json",)
    meta = ("{split}/meta_expressions.json", "meta_expressions/{split}/meta_expressions.json")
    excluded_meta = ()
    archive_prefix = ""
    scoring = "mevis"
