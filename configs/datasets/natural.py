"""Benchmarks of complex, long and first-person videos."""

from __future__ import annotations

from configs.datasets.base import DatasetConfig, register_dataset


@register_dataset("mosev1")
class MOSEv1(DatasetConfig):
    """Ding et al., ICCV 2023."""

    title = "MOSE v1"
    folder = "MOSE"
    roots = ("", "MOSE", "MOSEv1")
    splits = ("val", "test", "train")
    split_folders = ("valid", "test", "train")
    frames = ("{split}/JPEGImages/{video}", "JPEGImages/{video}")
    masks = ("{split}/Annotations/{video}", "Annotations/{video}")
    ground_truth = ("{split}/Annotations/{video}", "Annotations/{video}")
    index_required = False
    frame_step = 1
    server = True
    scoring = "mosev1"


@register_dataset("mosev2")
class MOSEv2(MOSEv1):
    """Ding et al., 2025."""

    title = "MOSE v2"
    folder = "MOSEv2"
    roots = ("", "MOSEv2")
    meta = ("{split}/meta.json", "meta.json")
    meta_format = "objects"
    scoring = "mosev2"


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


@register_dataset("vost")
class VOST(DatasetConfig):
    """Objects under transformation (Tokmakov et al., CVPR 2023); 255 is void."""

    title = "VOST"
    folder = "VOST"
    roots = ("", "VOST")
    splits = ("val", "test", "train")
    frames = ("JPEGImages/{video}",)
    masks = ("Annotations/{video}",)
    ground_truth = ("Annotations/{video}",)
    video_list = ("ImageSets/{split}.txt",)
    scoring = "vost"


@register_dataset("visor")
class VISOR(DatasetConfig):
    """EPIC-KITCHENS VISOR (Darkhalil et al., NeurIPS 2022), converted to the DAVIS layout by VISOR-VOS."""

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


@register_dataset("burst")
class BURST(DatasetConfig):
    """Athar et al., WACV 2023; the task with given first masks. Masks are run-length encodings in one JSON file."""

    title = "BURST"
    folder = "BURST"
    roots = ("", "BURST")
    splits = ("val", "test", "train")
    frames = ("{split}/JPEGImages/{dataset}_-_{sequence}", "frames/{split}/{dataset}/{sequence}")
    meta = ("{split}/first_frame_annotations.json", "annotations/{split}/first_frame_annotations.json")
    ground_truth = ("{split}/all_classes.json", "annotations/{split}/all_classes.json")
    meta_format = "burst"
    given = "all"
    wanted = "listed"
    archive = "burst"
    archive_suffix = ".json"
    scoring = "burst"


@register_dataset("longvideo")
class LongVideo(DatasetConfig):
    """Long-Time Video (Liang et al., NeurIPS 2020) and XMem's copy that is three times as long; sparse truth."""

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
