"""Masks of whole datasets in one JSON file: BURST, and the YouTube-VIS format (OVIS)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from voskit.dataloaders.datasets.mask_readers import BurstMaskReader
from voskit.dataloaders.datasets.meta import read_meta
from voskit.dataloaders.datasets.problem import raise_problem
from voskit.dataloaders.files import load_json
from voskit.dataloaders.masks.coco import decode_segmentation


class VideoMasks(NamedTuple):
    """Masks of one video."""

    name: str
    """Name of the folder of the frames; in BURST ``<dataset>_-_<sequence>``."""
    masks: Iterator[tuple[str, np.ndarray]]
    """Name and ids of each annotated frame, in order. Ids are H x W uint8 or uint16; 0 is background."""


def read_json_masks(path: Path) -> Iterator[VideoMasks]:
    """Read the videos of a JSON file.

    Objects in the YouTube-VIS format are numbered from 1 in the order of their ids. If two objects overlap, the later
    one wins.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file has another format, or the names of its videos aren't unique. A damaged mask raises
            ValueError when it is read.
    """
    data = load_json(path)
    if isinstance(data, dict) and "sequences" in data:
        for name, meta in read_meta(path, "burst", raise_problem).items():
            assert meta.sequence is not None and meta.frames is not None
            yield VideoMasks(name, _burst(path, meta.sequence, meta.frames))
        return
    videos, tracks = (data.get(key) if isinstance(data, dict) else None for key in ("videos", "annotations"))
    if not isinstance(videos, list) or not isinstance(tracks, list) or not videos:
        raise ValueError(f"{path}: expected a JSON file with 'sequences' (BURST) or 'videos' and 'annotations' (OVIS)")
    if not all(isinstance(entry, dict) for entry in [*videos, *tracks]):
        raise ValueError(f"{path}: videos and annotations must be JSON objects: check the program that wrote the file")
    by_video: dict[str, list[Mapping[str, Any]]] = {}  # ids are numbers in some files, the same as text in others
    for track in tracks:
        if "video_id" not in track:
            raise ValueError(f"{path}: object {track.get('id')} has no video_id: add the id of its video")
        by_video.setdefault(str(track["video_id"]), []).append(track)
    if lost := sorted(by_video.keys() - {str(video.get("id")) for video in videos}):
        raise ValueError(
            f"{path}: objects refer to {len(lost)} videos that aren't in the file, such as video_id {lost[0]}: add the "
            "videos, or remove the objects"
        )
    found: dict[str, VideoMasks] = {}
    for video in videos:
        masks = _video(path, video, by_video)
        if masks.name in found:
            raise ValueError(
                f"{path}: two videos are named {masks.name}, the second has id {video['id']}: rename one of them"
            )
        found[masks.name] = masks
    yield from found.values()


def _burst(path: Path, sequence: Mapping[str, Any], frames: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    reader = BurstMaskReader(sequence)
    for frame in frames:
        yield frame, reader.read(path, frame)


def _video(path: Path, video: Mapping[str, Any], by_video: Mapping[str, list[Mapping[str, Any]]]) -> VideoMasks:
    """Read a video in the YouTube-VIS format."""
    try:
        names = [PurePosixPath(name) for name in video["file_names"]]
        tracks = sorted(by_video.get(str(video["id"]), []), key=lambda track: track["id"])
        size = (int(video["height"]), int(video["width"]))
        folder = names[0].parent.name
    except (KeyError, IndexError, TypeError, ValueError) as error:
        hint = "" if "file_names" in video else ": give a YouTube-VIS file, whose videos list their file_names"
        raise ValueError(f"{path}: the entry of video {video.get('id')} is invalid ({error!r}){hint}") from None
    if not folder or folder.startswith("."):
        raise ValueError(
            f"{path}: video {video['id']} has no name: its file_names must start with the folder of the video, such "
            f"as video{video['id']}/{names[0].name}, not {str(names[0])!r}"
        )
    if len({name.stem for name in names}) < len(names):
        raise ValueError(f"{path}: two frames of {folder} have the same name: make its file_names unique")
    for track in tracks:
        masks = track.get("segmentations")
        if not isinstance(masks, list):
            raise ValueError(f"{path}: object {track['id']} of {folder} has no list of 'segmentations': add one")
        if len(masks) != len(names):
            raise ValueError(f"{path}: object {track['id']} has {len(masks)} masks, but its video {len(names)} frames")
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
