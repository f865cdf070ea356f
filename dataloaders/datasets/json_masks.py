"""Masks of whole datasets in one JSON file: BURST and the YouTube-VIS format (OVIS)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from voskit.dataloaders.datasets.mask_readers import BurstMaskReader
from voskit.dataloaders.datasets.meta import read_meta
from voskit.dataloaders.datasets.problem import raise_problem
from voskit.dataloaders.files import load_json
from voskit.dataloaders.masks.coco import checked_size, decode_segmentation
from voskit.dataloaders.natural_order import natural_key

_NOT_IN_NAMES = {*"/\\", *map(chr, range(32))}
_LONGEST_NAME = 200  # bytes; most file systems take 255, and a mask is written under a temporary name


class VideoMasks(NamedTuple):
    """Masks of one video."""

    name: str
    """Name of the folder of the frames; in BURST ``<dataset>_-_<sequence>``."""
    masks: Iterator[tuple[str, np.ndarray]]
    """Name and ids of each annotated frame, in order. Ids are H x W uint8 or uint16; 0 is background."""


def read_json_masks(path: Path) -> list[VideoMasks]:
    """Read the videos of a JSON file.

    Objects in the YouTube-VIS format are numbered from 1 in the order of their ids. If two objects overlap, the later
    one wins.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file has another format, or names of videos or frames aren't unique or can't be those of files.
            A damaged mask raises ValueError when it is read.
    """
    data = load_json(path)
    if isinstance(data, dict) and "sequences" in data:
        found = []
        for name, meta in read_meta(path, "burst", raise_problem).items():
            assert meta.sequence is not None and meta.frames is not None
            _check_names(path, name, meta.frames)
            found.append(VideoMasks(name, _burst(path, meta.sequence, meta.frames)))
        return found
    videos, tracks = (data.get(key) if isinstance(data, dict) else None for key in ("videos", "annotations"))
    if not isinstance(videos, list) or not isinstance(tracks, list) or not videos:
        raise ValueError(f"{path}: expected a JSON file with 'sequences' (BURST) or 'videos' and 'annotations' (OVIS)")
    if not all(isinstance(entry, dict) for entry in [*videos, *tracks]):
        raise ValueError(f"{path}: videos and annotations must be JSON objects: check the program that wrote the file")
    by_video: dict[str, list[Mapping[str, Any]]] = {}  # ids are numbers in some files, strings in others
    for track in tracks:
        if "id" not in track or "video_id" not in track:
            key = "video_id: add the id of its video" if "id" in track else "id: number the objects"
            raise ValueError(f"{path}: object {track.get('id')} has no {key}")
        by_video.setdefault(str(track["video_id"]), []).append(track)
    ids = Counter(str(video.get("id")) for video in videos)
    if twice := next((one for one, count in ids.items() if count > 1), None):
        raise ValueError(f"{path}: two videos have the id {twice}, so their objects can't be told apart: number them")
    if lost := sorted(by_video.keys() - ids.keys()):
        raise ValueError(
            f"{path}: objects refer to {len(lost)} videos that aren't in the file, such as video_id {lost[0]}: add the "
            "videos, or remove the objects"
        )
    by_name: dict[str, VideoMasks] = {}
    for video in videos:
        masks = _video(path, video, by_video)
        if masks.name in by_name:
            raise ValueError(
                f"{path}: two videos are named {masks.name}, the second has id {video['id']}: rename one of them"
            )
        by_name[masks.name] = masks
    return list(by_name.values())


def _check_names(path: Path, video: str, frames: Iterable[str]) -> None:
    """Raise ValueError if the name of a video or of its frames can't be that of a folder or file."""
    for kind, name in (("video", video), *((f"frame of {video!r}", frame) for frame in frames)):
        if not name or name[0] == "." or set(name) & _NOT_IN_NAMES or len(name.encode()) > _LONGEST_NAME:
            raise ValueError(f"{path}: {name[:80]!r} can't be the name of a {kind}: rename it in the file")


def _burst(path: Path, sequence: Mapping[str, Any], frames: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    reader = BurstMaskReader(sequence)
    for frame in frames:
        yield frame, reader.read(path, frame)


def _video(path: Path, video: Mapping[str, Any], by_video: Mapping[str, list[Mapping[str, Any]]]) -> VideoMasks:
    """Read a video in the YouTube-VIS format."""
    invalid = f"{path}: the entry of video {video.get('id')} is invalid"
    if missing := [key for key in ("id", "file_names", "height", "width") if key not in video]:
        raise ValueError(f"{invalid}: it has no {missing[0]}: give a YouTube-VIS file")
    listed = video["file_names"]
    if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
        raise ValueError(f"{invalid}: its file_names must be a list of its frames' names")
    names = [PurePosixPath(name) for name in listed]
    tracks = sorted(by_video.get(str(video["id"]), []), key=lambda track: natural_key(str(track["id"])))
    try:
        sides = int(video["height"]), int(video["width"])
    except (TypeError, ValueError):
        sizes = f"{video['height']!r} and {video['width']!r}"
        raise ValueError(f"{invalid}: its height and width must be integers, not {sizes}") from None
    size = checked_size(f"{path}: video {video['id']}", sides)
    folder = names[0].parent.name
    if not folder or folder.startswith("."):
        raise ValueError(
            f"{path}: video {video['id']} has no name: its file_names must start with the folder of the video, such "
            f"as video{video['id']}/{names[0].name}, not {str(names[0])!r}"
        )
    _check_names(path, folder, [name.stem for name in names])
    if other := next((name for name in names if name.parent != names[0].parent), None):
        raise ValueError(f"{path}: video {video['id']} has frames in two folders, {names[0].parent} and {other.parent}")
    if len({name.stem for name in names}) < len(names):
        raise ValueError(f"{path}: two frames of {folder} have the same name: make its file_names unique")
    for previous, track in zip([{}, *tracks], tracks, strict=False):
        if str(track["id"]) == str(previous.get("id")):
            raise ValueError(f"{path}: two objects of {folder} have the id {track['id']}: number them")
        masks = track.get("segmentations")
        if not isinstance(masks, list):
            raise ValueError(f"{path}: object {track['id']} of {folder} has no list of 'segmentations': add one")
        if len(masks) != len(names):
            raise ValueError(
                f"{path}: object {track['id']} has {len(masks)} masks, but its video has {len(names)} frames"
            )
    return VideoMasks(folder, _instances(path, names, tracks, size))


def _instances(
    path: Path, names: list[PurePosixPath], tracks: list[Mapping[str, Any]], size: tuple[int, int]
) -> Iterator[tuple[str, np.ndarray]]:
    kind = np.uint8 if len(tracks) <= 255 else np.uint16
    for place, name in enumerate(names):
        ids = np.zeros(size, kind)
        for number, track in enumerate(tracks, 1):
            encoded = track["segmentations"][place]
            if encoded is not None:
                where = f"{path}: object {track['id']} in {name}"
                ids[decode_segmentation(where, encoded, size)] = number
        yield name.stem, ids
