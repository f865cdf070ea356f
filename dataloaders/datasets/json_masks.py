"""Masks that a dataset has in one JSON file, frame by frame: BURST, and what is laid out as YouTube-VIS (OVIS)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from dataloaders.coco_masks import decode_run_lengths
from dataloaders.datasets.mask_files import BurstMasks
from dataloaders.datasets.meta import load_json, read_meta
from dataloaders.datasets.problems import raise_problem


class VideoMasks(NamedTuple):
    """The masks of a video."""

    name: str
    """Of its folder: the frames', or BURST's ``<dataset>_-_<sequence>``."""
    masks: Iterator[tuple[str, np.ndarray]]
    """The annotated frames in order: name, and ids H x W, uint8 or uint16; 0 is the background."""


def json_masks(path: Path) -> Iterator[VideoMasks]:
    """The videos of a JSON file. Objects of YouTube-VIS's kind are numbered from 1 in the order of their ids.

    Where two objects overlap the later one wins.

    Raises:
        FileNotFoundError, ValueError: no such file, or one of another kind; masks that are damaged are told when they
            are asked for.
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
    by_video: dict[Any, list[Mapping[str, Any]]] = {}
    for track in tracks:
        by_video.setdefault(track.get("video_id"), []).append(track)
    for video in videos:
        try:
            names = [PurePosixPath(name) for name in video["file_names"]]
            own = sorted(by_video.get(video["id"], []), key=lambda track: track["id"])
            size = (int(video["height"]), int(video["width"]))
            yield VideoMasks(names[0].parent.name, _instances(path, names, own, size))
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"{path}: video {video.get('id')} can't be understood ({error!r})") from None


def _burst(path: Path, sequence: Mapping[str, Any], frames: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    reader = BurstMasks(sequence)
    for frame in frames:
        yield frame, reader.read(path, frame)


def _instances(
    path: Path, names: list[PurePosixPath], tracks: list[Mapping[str, Any]], size: tuple[int, int]
) -> Iterator[tuple[str, np.ndarray]]:
    for track in tracks:
        if len(track["segmentations"]) != len(names):
            count = len(track["segmentations"])
            raise ValueError(f"{path}: object {track['id']} has {count} masks, its video {len(names)} frames")
    kind = np.uint8 if len(tracks) <= 255 else np.uint16
    for place, name in enumerate(names):
        ids = np.zeros(size, kind)
        for number, track in enumerate(tracks, 1):
            encoded = track["segmentations"][place]
            if encoded is not None:
                where = f"{path}: object {track['id']} in {name}"
                ids[decode_run_lengths(where, encoded["counts"], size)] = number
        yield name.stem, ids
