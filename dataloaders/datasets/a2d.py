"""A2D-Sentences and JHMDB-Sentences: annotated video frames, each with a sentence.

Gavrilyuk et al., "Actor and Action Video Segmentation from a Sentence", CVPR 2018. The layout is that of ReferFormer
and others: the ground truth is a COCO file with one image for each pair of a frame and a sentence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voskit.dataloaders.files import load_json, read_csv
from voskit.dataloaders.video.frames import open_frames

SENTENCE_SETS = ("a2d", "jhmdb")


@dataclass(frozen=True)
class _SetFiles:
    truth: str
    sentences: str
    videos: str
    image_id: re.Pattern[str]
    first: int
    """Number of the first frame of a video."""


_SETS = {
    "a2d": _SetFiles(
        "a2d_sentences_test_annotations_in_coco_format.json",
        "text_annotations/a2d_annotation.txt",
        "Release/clips320H/{video}.mp4",
        re.compile(r"v_(?P<video>.+)_f_(?P<frame>\d+)_i_(?P<instance>\d+)"),
        0,
    ),
    "jhmdb": _SetFiles(
        "jhmdb_sentences_gt_annotations_in_coco_format.json",
        "jhmdb_annotation.txt",
        "Rename_Images/{video}",
        re.compile(r"v_(?P<video>.+)_f_(?P<frame>\d+)"),
        1,
    ),
}


@dataclass(frozen=True)
class SentenceImage:
    """Annotated frame, with a sentence about one of its objects."""

    image_id: str
    frame: int
    """Index in the video, from 0."""
    sentence: str
    size: tuple[int, int]
    """Height and width of the mask."""


@dataclass(frozen=True)
class SentenceSet:
    """Test images of a dataset, by video.

    Attributes:
        name: "a2d" or "jhmdb".
        truth: COCO file of the ground truth.
        videos: video file or folder of frames, by video name.
        images: images by video name, in the order of the COCO file.
    """

    name: str
    truth: Path
    videos: Mapping[str, Path]
    images: Mapping[str, Sequence[SentenceImage]]

    def frames(self, video: str) -> list[np.ndarray]:
        """Read all frames of a video into memory, H x W x 3 uint8 RGB each: the videos are short.

        Raises:
            FileNotFoundError: the video is missing.
            ValueError: the video can't be read.
        """
        with open_frames(self.videos[video]) as source:
            return [frame.image for frame in source]


def open_sentences(name: str, root: str | os.PathLike[str]) -> SentenceSet:
    """Open one of ``SENTENCE_SETS``.

    - ``a2d``: ``a2d_sentences_test_annotations_in_coco_format.json``, ``text_annotations/a2d_annotation.txt`` and
      ``Release/clips320H/<video>.mp4`` in ``root``; image ids are ``v_<video>_f_<frame>_i_<instance>``, frames from 0.
    - ``jhmdb``: ``jhmdb_sentences_gt_annotations_in_coco_format.json``, ``jhmdb_annotation.txt`` and
      ``Rename_Images/<video>/00001.png``, ... in ``root``; image ids are ``v_<video>_f_<frame>``, frames from 1.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: an unknown name, or files that contradict each other.
    """
    if name not in _SETS:
        raise ValueError(f"unknown sentence dataset {name!r}: choose one of {', '.join(SENTENCE_SETS)}")
    files, root = _SETS[name], Path(root)
    truth = root / files.truth
    sentences = _read_sentences(root / files.sentences)
    data = load_json(truth)
    if not isinstance(data, dict) or not isinstance(data.get("images"), list) or not data["images"]:
        raise ValueError(f"{truth}: expected a COCO JSON file with 'images'")
    images: dict[str, list[SentenceImage]] = {}
    for entry in data["images"]:
        image_id, size = str(entry.get("id")), (int(entry.get("height", 0)), int(entry.get("width", 0)))
        found = files.image_id.fullmatch(image_id)
        if found is None or min(size) < 1:
            raise ValueError(f"{truth}: image {image_id!r}: expected id ({files.image_id.pattern}), height, width")
        key = (found["video"], found["instance"] if "instance" in found.groupdict() else "")
        if key not in sentences:
            raise ValueError(f"{root / files.sentences}: no sentence for {image_id} of {truth.name}")
        frame = int(found["frame"]) - files.first
        images.setdefault(found["video"], []).append(SentenceImage(image_id, frame, sentences[key], size))
    videos = {video: root / files.videos.format(video=video) for video in images}
    if absent := [path for path in videos.values() if not path.exists()]:
        raise FileNotFoundError(f"{absent[0]}: no such video ({len(absent)} of {len(videos)} videos are missing)")
    return SentenceSet(name, truth, videos, images)


def _read_sentences(path: Path) -> dict[tuple[str, str], str]:
    """Read the sentences by video and instance; the instance is empty if the file has no such column."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such sentence file")
    rows = read_csv(path, ("video_id", "query"))
    return {(row["video_id"], row.get("instance_id", "").strip()): row["query"] for _, row in rows}
