"""Miniature datasets in their real layouts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as coco

from voskit.dataloaders.datasets import Dataset
from voskit.dataloaders.masks.files import write_mask
from voskit.evaluators.submissions.pack import result_folders

SIZE = (24, 32)
FRAMES = ("00000", "00001", "00002")


def image(path: Path, size: tuple[int, int] = SIZE) -> Path:
    """Write a gray JPEG (or PNG)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))
    return path


def ids_mask(ids: Iterable[int], size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a mask with a block for each id."""
    mask = np.zeros(size, np.uint8)
    for place, object_id in enumerate(ids):
        mask[2 + 4 * place : 5 + 4 * place, 3:20] = object_id
    return mask


def mask(path: Path, ids: Iterable[int] = (1,), size: tuple[int, int] = SIZE, grayscale: bool = False) -> Path:
    """Write a palette (or grayscale) PNG of ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = ids_mask(ids, size)
    if grayscale:
        Image.fromarray(values).save(path)
    else:
        write_mask(path, values)
    return path


def text(path: Path, content: str) -> Path:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def write_json(path: Path, data: Any) -> Path:
    """Write a JSON file."""
    return text(path, json.dumps(data))


def video(root: Path, frames: str, masks: str, name: str, truth: Iterable[str] = FRAMES[:1], **kwargs: Any) -> None:
    """Write frames ``FRAMES`` and masks of some of them, to two folders with a placeholder for the video."""
    for frame in kwargs.pop("names", FRAMES):
        image(root / frames.format(name) / f"{frame}.jpg")
    for frame in truth:
        mask(root / masks.format(name) / f"{frame}.png", **kwargs)


def davis2017(root: Path, split: str = "val", year: str = "2017", truth: Iterable[str] = FRAMES) -> Path:
    for name in ("bear", "dog"):
        for folder in ("480p", "Full-Resolution"):
            video(root, f"JPEGImages/{folder}/{{}}", f"Annotations/{folder}/{{}}", name, truth, ids=(1, 2))
    text(root / f"ImageSets/{year}/{split}.txt", "bear\ndog\n")
    return root


def davis2016_package(root: Path) -> Path:
    """Write the package of 2016: pairs of files, masks of 0 and 255."""
    lines = []
    for name in ("bear", "dog"):
        for folder in ("480p", "1080p"):
            video(
                root,
                f"JPEGImages/{folder}/{{}}",
                f"Annotations/{folder}/{{}}",
                name,
                FRAMES,
                ids=(255,),
                grayscale=True,
            )
        lines += [f"/JPEGImages/480p/{name}/{f}.jpg /Annotations/480p/{name}/{f}.png" for f in FRAMES]
    text(root / "ImageSets/480p/val.txt", "\n".join(lines) + "\n")
    text(root / "ImageSets/1080p/val.txt", "\n".join(lines).replace("480p", "1080p"))
    return root


def davis_unsupervised(root: Path) -> Path:
    video(root, "JPEGImages/480p/{}", "Annotations_unsupervised/480p/{}", "bear", FRAMES, ids=(1, 255))
    text(root / "ImageSets/2017/val.txt", "bear\n")
    return root


def youtube(root: Path, split: str = "valid", every: int = 2) -> Path:
    """Write a video of six frames at 30 fps, of which some are scored. Its second object appears in frame 00002."""
    names = [f"{i:05d}" for i in range(6)]
    for frame in names:
        image(root / f"{split}_all_frames/JPEGImages/vid1/{frame}.jpg")
    for frame in names[::every]:
        image(root / f"{split}/JPEGImages/vid1/{frame}.jpg")
    mask(root / f"{split}/Annotations/vid1/00000.png", (1,))
    mask(root / f"{split}/Annotations/vid1/00002.png", (4,))
    objects = {"1": {"category": "dog", "frames": names[::every]}, "4": {"category": "cat", "frames": names[2::every]}}
    write_json(root / f"{split}/meta.json", {"videos": {"vid1": {"objects": objects}}})
    return root


def mose(root: Path, meta: bool = False) -> Path:
    for name in ("0a1b", "2c3d"):
        video(root, "valid/JPEGImages/{}", "valid/Annotations/{}", name, ids=(1, 2))
    if meta:
        entry = {"length": 3, "height": SIZE[0], "width": SIZE[1], "objects": {"1": {}, "2": {}}}
        write_json(root / "valid/meta.json", {"videos": {"0a1b": entry, "2c3d": entry}})
    return root


def lvos(root: Path, folder: str = "valid", complete: bool = True) -> Path:
    """Write a video whose object 3 appears in the third frame.

    ``complete``: all frames are annotated; otherwise only those in which objects appear.
    """
    names = [f"{i:08d}" for i in (1, 6, 11, 16)]
    for frame in names:
        image(root / folder / "JPEGImages/aaaa" / f"{frame}.jpg")
    for frame in names if complete else (names[0], names[2]):
        later = (1, 3) if complete else (3,)
        mask(root / folder / "Annotations/aaaa" / f"{frame}.png", (1,) if frame < names[2] else later)
    ranges = {"1": (names[0], names[3]), "3": (names[2], names[3])}
    objects = {i: {"frame_range": {"start": a, "end": b, "frame_nums": "2"}} for i, (a, b) in ranges.items()}
    write_json(root / folder / f"{folder}_meta.json", {"videos": {"aaaa": {"objects": objects}}})
    return root


def vost(root: Path) -> Path:
    names = ("frame00010", "frame00022", "frame00034")
    video(root, "JPEGImages/{}", "Annotations/{}", "1_cut", names, names=names, ids=(1, 255))
    text(root / "ImageSets/val.txt", "1_cut\n")
    return root


def probe(root: Path) -> Path:
    video(root, "JPEGImages/{}", "Annotations/{}", "thin-ropes", FRAMES, ids=(1, 2))
    text(root / "ImageSets/all.txt", "thin-ropes\n")
    return root


def visor(root: Path) -> Path:
    names = tuple(f"P01_107_frame_000000{i}" for i in (1000, 1137, 1274))
    sequence = "P01_107_seq_00001"
    video(root, "JPEGImages/480p/{}", "Annotations/480p/{}", sequence, names, names=names, ids=(1, 2))
    text(root / "ImageSets/2022/val.txt", f"{sequence}\n")
    write_json(root / "val_data_mapping.json", {sequence: {"1": "left hand", "2": "onion"}})
    return root


def run_lengths(region: np.ndarray) -> str:
    """Return the compressed COCO string of a region."""
    return coco.encode(np.asfortranarray(region.astype(np.uint8)))["counts"].decode()


def burst(root: Path, official: bool = False) -> Path:
    """Write a video of six frames, every second one annotated. Track 2 is given in the second annotated frame."""
    names = [f"frame{i:04d}" for i in range(0, 60, 10)]
    folder = "frames/val/HACS/clip_a" if official else "val/JPEGImages/HACS_-_clip_a"
    for frame in names:
        image(root / folder / f"{frame}.jpg")
    masks = ids_mask((1, 2))
    given: list[dict[str, Any]] = [
        {"1": {"rle": run_lengths(masks == 1), "is_gt": True}},
        {"2": {"rle": run_lengths(masks == 2), "is_gt": True}},
        {},
    ]
    sequence = {
        "width": SIZE[1],
        "height": SIZE[0],
        "id": 1,
        "seq_name": "clip_a",
        "dataset": "HACS",
        "fps": 30,
        "all_image_paths": [f"{n}.jpg" for n in names],
        "annotated_image_paths": [f"{n}.jpg" for n in names[::2]],
        "neg_category_ids": [],
        "not_exhaustive_category_ids": [],
        "track_category_ids": {"1": 4, "2": 7},
        "segmentations": given,
    }
    data = {"sequences": [sequence], "categories": [{"id": 4, "name": "a"}], "split": "val"}
    path = "annotations/val" if official else "val"
    write_json(root / path / "first_frame_annotations.json", data)
    return root


def ovis(root: Path) -> Path:
    """Write two videos of three frames; the second object of the first video is hidden in its first frame."""
    masks = ids_mask((1, 2))
    names = [f"img_{i:07d}.jpg" for i in range(1, 4)]
    videos = [
        {"id": n, "file_names": [f"{name}/{f}" for f in names], "height": SIZE[0], "width": SIZE[1], "length": 3}
        for n, name in enumerate(("bird", "cat"), 1)
    ]

    def encoded(number: int) -> dict:
        return {"size": list(SIZE), "counts": run_lengths(masks == number)}

    tracks = [
        {"id": 12, "video_id": 1, "segmentations": [None, encoded(2), encoded(2)]},
        {"id": 5, "video_id": 1, "segmentations": [encoded(1)] * 3},
        {"id": 7, "video_id": 2, "segmentations": [encoded(1)] * 3},
    ]
    for name in ("bird", "cat"):
        for frame in names:
            image(root / "OVIS/train/JPEGImages" / name / frame)
    return write_json(root / "OVIS/annotations_train.json", {"videos": videos, "annotations": tracks})


def longvideo(root: Path) -> Path:
    names = [f"{i:05d}" for i in range(6)]
    for folder in ("long_video", "long_video_x3"):
        video(root, f"{folder}/JPEGImages/{{}}", f"{folder}/Annotations/{{}}", "rat", names[::3], names=names)
    return root


def _phrases(ids: Mapping[str, str | None]) -> dict[str, Any]:
    return {k: {"exp": f"phrase {k}", **({} if i is None else {"obj_id": i})} for k, i in ids.items()}


def ref_youtube(root: Path, name: str = "valid/JPEGImages") -> Path:
    video(root, f"{name}/{{}}", "", "vid1", ())
    entry = {"expressions": _phrases({"0": None, "1": None}), "frames": list(FRAMES)}
    both = {"videos": {"vid1": entry, "vid2": entry}}
    write_json(root / "meta_expressions/valid/meta_expressions.json", both)
    write_json(root / "meta_expressions/test/meta_expressions.json", {"videos": {"vid2": entry}})
    return root


def mevis(root: Path) -> Path:
    video(root, "valid/JPEGImages/{}", "", "vid1", ())
    entry = {"expressions": _phrases({"0": None}), "frames": list(FRAMES)}
    write_json(root / "valid/meta_expressions.json", {"videos": {"vid1": entry}})
    return root


def ref_davis(root: Path, davis: bool = True) -> Path:
    folders = ("DAVIS/JPEGImages/480p/{}", "DAVIS/Annotations_unsupervised/480p/{}")
    video(root, *(folders if davis else ("valid/JPEGImages/{}", "valid/Annotations/{}")), "bear", FRAMES, ids=(1, 2))
    entry = {"expressions": _phrases({str(k): str(k // 4 + 1) for k in range(8)}), "frames": list(FRAMES)}
    write_json(root / "meta_expressions/valid/meta_expressions.json", {"videos": {"bear": entry}})
    return root


SEGMENTS = (50, 66000, 70101)  # exceed 16 bits


def vipseg(root: Path) -> Path:
    ids = ids_mask((1, 2, 3)).astype(np.int64)
    packed = np.array([0, *SEGMENTS])[ids]
    rgb = np.stack([packed & 255, packed >> 8 & 255, packed >> 16], 2).astype(np.uint8)
    for frame in FRAMES:
        image(root / "images/1_a" / f"{frame}.jpg")
        path = root / "panomasksRGB/1_a" / f"{frame}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb).save(path)
    sizes = {"width": SIZE[1], "height": SIZE[0]}
    images = [{"id": f, **sizes, "file_name": f"{f}.png"} for f in FRAMES]
    infos = [{"id": s, "category_id": k, "iscrowd": 0, "area": 51} for k, s in enumerate(SEGMENTS)]
    frames = [{"image_id": f, "file_name": f"{f}.png", "segments_info": infos} for f in FRAMES]
    data = {
        "videos": [{"video_id": "1_a", "images": images}],
        "annotations": [{"video_id": "1_a", "annotations": frames}],
        "categories": [{"id": k, "isthing": int(k == 2)} for k in range(3)],
    }
    write_json(root / "panoptic_gt_VIPSeg_val.json", data)
    return root


def vspw(root: Path) -> Path:
    video(root, "data/{}/origin", "data/{}/mask", "1_b", FRAMES, ids=(5, 255), grayscale=True)
    text(root / "val.txt", "1_b\n")
    return root


def custom(root: Path) -> Path:
    video(root, "frames/{}", "masks/{}", "dance", (FRAMES[0], FRAMES[2]), ids=(1, 200))
    return root


TREES = {
    "davis2016": lambda root: davis2017(root, year="2016"),
    "davis2017": davis2017,
    "davis2017_unsupervised": davis_unsupervised,
    "refdavis17": ref_davis,
    "youtubevos2018": youtube,
    "youtubevos2019": youtube,
    "refytvos": ref_youtube,
    "mevis": mevis,
    "mosev1": mose,
    "mosev2": lambda root: mose(root, meta=True),
    "lvos": lvos,
    "lvosv2": lvos,
    "vost": vost,
    "visor": visor,
    "burst": burst,
    "longvideo": longvideo,
    "probe": probe,
    "vipseg": vipseg,
    "vspw": vspw,
    "custom": custom,
}
"""Writer of a miniature of each registered dataset."""


def _truth_of_youtube(root: Path) -> None:
    for frame in ("00000", "00002", "00004"):
        mask(root / f"reference/Annotations/vid1/{frame}.png", (1,) if frame == "00000" else (1, 4))
    write_json(root / "categories.json", {"seen": ["dog"]})


def _truth_of_mose(root: Path) -> None:
    for name in ("0a1b", "2c3d"):
        for frame in FRAMES:
            mask(root / f"valid/Annotations/{name}/{frame}.png", (1, 2))


def _truth_of_longvideo(root: Path) -> None:
    for folder in ("long_video", "long_video_x3"):
        mask(root / folder / "Annotations/rat/00005.png")


def _truth_of_burst(root: Path) -> None:
    data = json.loads((root / "val/first_frame_annotations.json").read_text())
    (sequence,) = data["sequences"]
    tracks = {k: v for given in sequence["segmentations"] for k, v in given.items()}
    sequence["segmentations"] = [tracks] * len(sequence["annotated_image_paths"])
    data["categories"] = [{"id": 4, "name": "a"}, {"id": 7, "name": "b"}]
    write_json(root / "val/all_classes.json", data)


def _truth_of_expressions(expressions: str, masks: str, meta: str) -> Callable[[Path], None]:
    def add(root: Path) -> None:
        encoded = {"size": list(SIZE), "counts": run_lengths(ids_mask((1,)) == 1)}
        data = json.loads((root / meta).read_text())
        for entry in data["videos"].values():
            for said in entry["expressions"].values():
                said["anno_id"] = ["7"]
        for name in data["videos"]:
            video(root, "valid/JPEGImages/{}", "", name, ())
        write_json(root / expressions, {"videos": {"vid1": data["videos"]["vid1"]}})
        write_json(root / masks, {"7": [encoded] * len(FRAMES)})

    return add


TRUTH: dict[str, Callable[[Path], Any]] = {
    "youtubevos2018": _truth_of_youtube,
    "youtubevos2019": _truth_of_youtube,
    "refytvos": _truth_of_expressions(
        "reference/expressions.json", "reference/mask_dict.json", "meta_expressions/valid/meta_expressions.json"
    ),
    "mevis": _truth_of_expressions(
        "valid/meta_expressions.json", "valid/mask_dict.json", "valid/meta_expressions.json"
    ),
    "mosev1": _truth_of_mose,
    "mosev2": _truth_of_mose,
    "lvos": lambda root: text(root / "valid/unseen_videos.txt", ""),
    "lvosv2": lambda root: text(root / "valid/unseen_videos.txt", ""),
    "burst": _truth_of_burst,
    "longvideo": _truth_of_longvideo,
    "custom": lambda root: video(root, "frames/{}", "ground_truth/{}", "dance", FRAMES, ids=(1, 200)),
}
"""Writer of the ground truth that a miniature lacks."""


def rename_everywhere(root: Path, old: str, new: str) -> None:
    """Replace the word ``old`` in the names of all files and folders, for another split."""
    for path in sorted(root.rglob("*"), key=lambda p: -len(p.parts)):
        name = re.sub(rf"(?<![a-z]){re.escape(old)}(?![a-z])", new, path.name)
        if name != path.name and not path.with_name(name).exists():
            path.rename(path.with_name(name))


def answer(dataset: Dataset, results: Path) -> Path:
    """Write valid results of a dataset: every object of every video in each frame."""
    for folder in result_folders(dataset, results)[1]:
        folder.path.mkdir(parents=True)
        for frame in {**dict.fromkeys(folder.video.wanted), **dict.fromkeys(folder.frames)}:
            path = folder.path / f"{frame}.png"
            ids = ids_mask(sorted(folder.ids)[:4], folder.video.frame_size)
            if folder.kind == "grayscale":
                Image.fromarray(ids).save(path)
            else:
                write_mask(path, ids)
    return results
