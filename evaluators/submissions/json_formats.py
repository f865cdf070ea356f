"""JSON submissions: VISOR's polygons, BURST's run-length encodings and VIPSeg's lists of segments."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as coco

from voskit.dataloaders.datasets import Dataset, Problem, Video
from voskit.dataloaders.datasets.mask_readers import read_panoptic_ids
from voskit.dataloaders.files import load_json
from voskit.dataloaders.masks.files import read_written_mask

_VISOR_INFO = {
    "Dataset Name": "VISOR",
    "Challenge": "semi_supervised_vos",
    "Version": "0.1",
    "Resolution": "854x480",
    "Release Date": "",
    "URL": "",
    "Details": "",
}


def visor_json(dataset: Dataset, root: Path) -> bytes:
    """Convert results to VISOR's ``val.json``: outer and inner contours of each object as polygons, frame by frame.

    The format is that of epic-kitchens/C6-SemiVOS: OpenCV contours in one flat list, without the inner points of
    straight lines.

    Raises:
        FileNotFoundError: the file of object names is missing.
        ValueError: the file of object names lacks an object.
    """
    frames = []
    for video in dataset.videos:
        names = dataset.object_names.get(video.name, {})
        for frame in video.submitted:
            mask = read_written_mask(root / video.name / f"{frame}.png")
            annotations = []
            for object_id in sorted(set(np.unique(mask).tolist()) - {0}):
                if object_id not in names:
                    raise ValueError(f"video {video.name}: object {object_id} has no name in the file of object names")
                region = (mask == object_id).astype(np.uint8)
                contours, _ = cv2.findContours(region, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
                segments = [contour.reshape(-1, 2).tolist() for contour in contours]
                annotations.append({"name": names[object_id], "segments": segments})
            participant = "_".join(video.name.split("_")[:2])
            image = {
                "image_path": f"{participant}/{frame}.png",
                "name": f"{frame}.png",
                "video": participant,
                "subsequence": video.name,
            }
            frames.append({"image": image, "annotations": annotations})
    return _encode({"info": _VISOR_INFO, "video_annotations": frames})


def burst_json(dataset: Dataset, root: Path) -> bytes:
    """Convert results to BURST's JSON: the given file, with masks in all annotated frames.

    In the frame in which a track is given, its mask is copied. A track without pixels has no entry.
    """
    assert dataset.meta_path is not None
    data = load_json(dataset.meta_path)
    sequences = []
    for video in dataset.videos:
        assert video.meta is not None and video.meta.sequence is not None
        given = video.meta.sequence["segmentations"]
        segmentations = []
        for frame, tracks in zip(video.wanted, given, strict=True):
            ids = read_written_mask(root / video.name / f"{frame}.png")
            masks = {i: {"rle": _run_lengths(ids == i)} for i in sorted(set(np.unique(ids).tolist()) - {0})}
            begins = {
                track for track in tracks if video.meta.starts[int(track)] == frame
            }  # later masks are ground truth
            masks |= {int(track): {"rle": tracks[track]["rle"]} for track in begins}
            segmentations.append({str(i): masks[i] for i in sorted(masks)})
        sequences.append({**video.meta.sequence, "segmentations": segmentations})
    return _encode({**data, "sequences": sequences})


def panoptic_members(dataset: Dataset, root: Path, prefix: str) -> dict[str, Path | bytes]:
    """Convert masks of object ids to VIPSeg's RGB masks and ``pred.json``, with the given categories."""
    members: dict[str, Path | bytes] = {}
    videos = []
    for video in dataset.videos:
        assert video.meta is not None
        segments = video.meta.segments
        colors = np.zeros(max(segments, default=0) + 1, np.int64)
        for number, segment in segments.items():
            colors[number] = segment.id
        frames = []
        for frame in video.submitted:
            mask = read_written_mask(root / video.name / f"{frame}.png")
            packed = colors[mask]
            rgb = np.stack([packed & 255, packed >> 8 & 255, packed >> 16], axis=2).astype(np.uint8)
            members[f"{prefix}/{video.name}/{frame}.png"] = _png(rgb)
            areas = np.bincount(mask.ravel(), minlength=len(colors))
            infos = [
                {"id": s.id, "category_id": s.category_id, "isthing": int(s.isthing), "area": int(areas[number])}
                for number, s in segments.items()
                if areas[number]
            ]
            frames.append({"image_id": frame, "file_name": f"{frame}.png", "segments_info": infos})
        videos.append({"video_id": video.name, "annotations": frames})
    members["pred.json"] = _encode({"annotations": videos})
    return members


def check_panoptic(dataset: Dataset, folder: Path) -> list[Problem]:
    """Find problems in ``pred.json`` next to ``pan_pred``: frames out of order, ids that differ from the masks' ids."""
    path = folder / "pred.json"
    try:
        videos = {v["video_id"]: v["annotations"] for v in load_json(path)["annotations"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [Problem(path, f"is invalid: {str(error).removeprefix(f'{path}: ')}")]
    problems = [Problem(path, f"video {n} is unknown") for n in videos.keys() - {v.name for v in dataset.videos}]
    for video in dataset.videos:
        if video.name not in videos:
            problems.append(Problem(path, f"video {video.name} is missing", video=video.name))
            continue
        try:
            problems += _check_panoptic_video(video, path, folder / "pan_pred" / video.name, videos[video.name])
        except (KeyError, TypeError) as error:
            problems.append(Problem(path, f"the entry of video {video.name} is invalid: {error!r}", video=video.name))
    return problems


def _check_panoptic_video(video: Video, path: Path, folder: Path, frames: list[Mapping[str, Any]]) -> list[Problem]:
    listed = tuple(Path(f["file_name"]).stem for f in frames)
    if listed != video.submitted:
        return [Problem(path, f"video {video.name}: its frames must be those of the dataset, in order")]
    problems = []
    for frame, entry in zip(listed, frames, strict=True):
        mask_path = folder / f"{frame}.png"
        if not mask_path.is_file():
            continue  # reported with the masks
        try:
            ids = set(np.unique(read_panoptic_ids(mask_path)).tolist()) - {0}
        except ValueError:
            continue
        stated = {s["id"] for s in entry["segments_info"]}
        if ids != stated:
            different = min(ids ^ stated)
            where = "in the mask, but not in pred.json" if different in ids else "in pred.json, but not in the mask"
            problems.append(Problem(mask_path, f"segment {different} is {where}", video=video.name))
    return problems


def _run_lengths(region: np.ndarray) -> str:
    return coco.encode(np.asfortranarray(region.astype(np.uint8)))["counts"].decode("ascii")


def _png(rgb: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="PNG")
    return buffer.getvalue()


def _encode(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
