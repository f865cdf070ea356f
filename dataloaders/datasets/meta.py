"""Meta files: JSON descriptions of the videos of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voskit.dataloaders.datasets.problem import Problem, Report
from voskit.dataloaders.files import load_json
from voskit.dataloaders.masks.coco import checked_size


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Segment of a panoptic video: its id in the files, its category, and True for things, False for stuff."""

    id: int
    category_id: int
    isthing: bool


@dataclass(frozen=True, kw_only=True)
class VideoMeta:
    """Entry of a meta file about one video.

    Attributes:
        names: values for the placeholders of path templates.
        frames: names of the listed frames, in order; None if none are listed.
        starts: first frame of each object, by object id; empty if not stated.
        object_ids: ids of the objects; None if not stated.
        size: (height, width) of the frames; None if not stated.
        expressions: text prompts by expression id (referring datasets).
        segments: segments by object id (panoptic datasets).
        sequence: the whole entry (BURST).
    """

    names: Mapping[str, str]
    frames: tuple[str, ...] | None = None
    starts: Mapping[int, str] = field(default_factory=dict)
    object_ids: tuple[int, ...] | None = None
    size: tuple[int, int] | None = None
    expressions: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[int, Segment] = field(default_factory=dict)
    sequence: Mapping[str, Any] | None = None


def read_meta(path: Path, kind: str, report: Report) -> dict[str, VideoMeta]:
    """Read a meta file.

    An invalid entry is reported and left out.

    Args:
        path: the file.
        kind: its format, one of ``DatasetConfig.meta_format``.
        report: called with each problem.

    Returns:
        Videos by name, in the order of the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file isn't JSON, or has another structure.
    """
    data = load_json(path)
    key = "sequences" if kind == "burst" else "videos"
    videos = data.get(key) if isinstance(data, dict) else None
    if not isinstance(videos, list if kind in ("burst", "panoptic") else dict) or not videos:
        raise ValueError(f"{path}: expected a JSON object with {key!r}: is it the file of this dataset?")
    try:
        if kind == "burst":
            entries = [(f"{v.get('dataset')}_-_{v.get('seq_name')}", v) for v in videos]
        elif kind == "panoptic":
            entries = _panoptic_entries(data)
        else:
            entries = list(data["videos"].items())
    except KeyError as error:
        raise ValueError(f"{path}: an entry has no {error}: is this the file of the dataset and split?") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{path}: an entry is invalid ({type(error).__name__}: {error})") from None
    read = {"burst": _burst, "panoptic": _panoptic, "objects": _objects, "expressions": _expressions}[kind]
    result: dict[str, VideoMeta] = {}
    for name, entry in entries:
        if name in result:
            report(Problem(path, f"video {name} is described twice"))
            continue
        try:
            result[name] = read(name, entry)
        except KeyError as error:
            report(Problem(path, f"video {name}: its entry has no {error}: is this the file of the dataset and split?"))
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            report(Problem(path, f"video {name}: its entry is invalid ({type(error).__name__}: {error})"))
    return result


def _objects(name: str, entry: Mapping[str, Any]) -> VideoMeta:
    """Read an entry of YouTube-VOS (frames of each object), LVOS (first and last frame of each object) or MOSE v2
    (length and size)."""
    objects = entry["objects"]
    listed = [str(frame) for o in objects.values() for frame in o.get("frames", ())]
    starts: dict[int, str] = {}
    for object_id, values in objects.items():
        if values.get("frames"):
            starts[int(object_id)] = str(min(values["frames"]))
        elif "frame_range" in values:
            start = values["frame_range"]["start"]
            starts[int(object_id)] = f"{start:08d}" if isinstance(start, int) else start  # names in LVOS have 8 digits
    size = (int(entry["height"]), int(entry["width"])) if "height" in entry and "width" in entry else None
    return VideoMeta(
        names={"video": name},
        frames=tuple(sorted(set(listed))) or None,
        starts=starts,
        object_ids=tuple(sorted(map(int, objects))),
        size=size,
    )


def _expressions(name: str, entry: Mapping[str, Any]) -> VideoMeta:
    """Read an entry of Ref-YouTube-VOS, MeViS or Ref-DAVIS17.

    Only Ref-DAVIS17 has object ids, as strings. A list of ids (in MeViS's training set, where an expression may refer
    to several objects) doesn't determine the ids of the results.
    """
    expressions = entry["expressions"]
    ids = [e.get("obj_id") for e in expressions.values()]
    known = all(isinstance(i, (str, int)) and str(i).isdigit() for i in ids)
    return VideoMeta(
        names={"video": name},
        frames=tuple(map(str, entry["frames"])),
        expressions={str(key): str(e["exp"]) for key, e in expressions.items()},
        object_ids=tuple(sorted({int(i) for i in ids})) if known else None,
    )


def _burst(name: str, entry: Mapping[str, Any]) -> VideoMeta:
    annotated = [Path(p).stem for p in entry["annotated_image_paths"]]
    if len(entry["segmentations"]) != len(annotated):
        raise ValueError(f"{len(entry['segmentations'])} segmentations for {len(annotated)} annotated_image_paths")
    if len(set(annotated)) < len(annotated):
        raise ValueError("two of its annotated_image_paths have the same name")
    if not all(isinstance(tracks, dict) for tracks in entry["segmentations"]):
        raise ValueError("its segmentations must be a JSON object for each frame")
    starts: dict[int, str] = {}
    for frame, tracks in zip(annotated, entry["segmentations"], strict=True):
        for track in tracks:
            if not 0 < int(track) < 2**16:
                raise ValueError(f"track {track} of frame {frame}: object ids must be 1 to 65535")
            starts.setdefault(int(track), frame)
    return VideoMeta(
        names={"video": name, "dataset": str(entry["dataset"]), "sequence": str(entry["seq_name"])},
        frames=tuple(annotated),
        starts=starts,
        object_ids=tuple(sorted(map(int, entry["track_category_ids"]))),
        size=checked_size("height and width", (int(entry["height"]), int(entry["width"]))),
        sequence=entry,
    )


def _panoptic_entries(data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    things = {c["id"]: bool(c["isthing"]) for c in data.get("categories", ())}
    annotations = {a["video_id"]: a["annotations"] for a in data.get("annotations", ())}
    return [
        (str(v["video_id"]), {**v, "annotations": annotations.get(v["video_id"], ()), "things": things})
        for v in data["videos"]
    ]


def _panoptic(name: str, entry: Mapping[str, Any]) -> VideoMeta:
    """Read an entry of VIPSeg: the segments of all frames, numbered from 1 in ascending order of their ids."""
    images = entry["images"]
    starts: dict[int, str] = {}
    categories: dict[int, int] = {}
    for image, annotation in zip(images, entry["annotations"], strict=False):
        for segment in annotation["segments_info"]:
            starts.setdefault(segment["id"], Path(image["file_name"]).stem)
            categories.setdefault(segment["id"], segment["category_id"])
    numbers = {segment_id: number for number, segment_id in enumerate(sorted(categories), start=1)}
    things = entry["things"]
    return VideoMeta(
        names={"video": name},
        frames=tuple(Path(image["file_name"]).stem for image in images),
        starts={numbers[i]: frame for i, frame in starts.items()},
        object_ids=tuple(numbers.values()),
        size=(int(images[0]["height"]), int(images[0]["width"])),
        segments={
            number: Segment(id=i, category_id=categories[i], isthing=things.get(categories[i], False))
            for i, number in numbers.items()
        },
    )
