"""Training datasets with text prompts: Ref-YouTube-VOS, RefCOCO, RefCOCO+ and RefCOCOg."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch.utils.data import ConcatDataset, get_worker_info

from voskit.configs.registry import suggest
from voskit.configs.stages import ReferringStageConfig, StageConfig
from voskit.dataloaders.files import load_json
from voskit.dataloaders.masks.coco import decode_segmentation
from voskit.dataloaders.tokenizer import clean_caption
from voskit.dataloaders.training.epoch import EpochDataset
from voskit.dataloaders.training.records import read_image, read_labels
from voskit.dataloaders.training.referring.augment import Frames, Masks, augment_clip, image_to_clip
from voskit.dataloaders.training.referring.clip import ReferringClip, finish_referring

IMAGE_SETS = ("refcoco", "refcoco+", "refcocog")

_VIDEO_META = "meta_expressions/train/meta_expressions.json"
_SOURCES = 20  # maximum number of items to try until a clip shows its object


@dataclass(frozen=True)
class _Raw:
    """Clip before augmentation."""

    frames: Frames
    masks: Masks
    caption: str


class ReferringClips(EpochDataset[ReferringClip], ABC):
    """Base class of datasets of clips with text prompts. Each item depends only on the seed, the epoch and its index.

    Args:
        stage: the training stage, with the length of clips and the distance between frames.
        seed: one or several non-negative integers.
    """

    def __init__(self, stage: ReferringStageConfig, *, seed: int | Sequence[int] = 0) -> None:
        super().__init__(seed)
        self.stage = stage

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items in an epoch."""

    @abstractmethod
    def _name(self, index: int) -> str:
        """Return the name of an item for messages."""

    @abstractmethod
    def _read(self, index: int, rng: np.random.Generator) -> _Raw | None:
        """Read a random clip of an item; None if no frame shows the object."""

    def __getitem__(self, index: int) -> ReferringClip:
        """Return one clip. If no frame shows its object, another random item replaces it.

        Raises:
            IndexError: there is no such item.
            FileNotFoundError: an image or a mask is missing.
            ValueError: a file can't be read, or an image and its mask differ in size (the message names the file), or
                no clip shows its object.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        if get_worker_info() is not None:
            cv2.setNumThreads(0)
        rng = self.generator(index)
        source = index
        for _ in range(_SOURCES):
            raw = self._read(source, rng)
            if raw is not None:
                clip = finish_referring(*augment_clip(raw.frames, raw.masks, raw.caption, rng), self._name(source))
                if clip.valid.any():
                    return clip
            source = int(rng.integers(len(self)))
        raise ValueError(
            f"{self._name(index)}: no frame shows the object of the text prompt, nor do those of {_SOURCES - 1} other "
            "clips: are the masks empty?"
        )


@dataclass(frozen=True)
class _Expression:
    """Text prompt for an object in a video."""

    video: str
    key: str
    caption: str
    object_id: int


class ReferringVideoClips(ReferringClips):
    """Clips of Ref-YouTube-VOS: one for each expression and every ``clip_length``-th frame of its video.

    Args:
        root: folder with ``meta_expressions/train/meta_expressions.json``, ``train/JPEGImages/<video>/<frame>.jpg``
            and ``train/Annotations/<video>/<frame>.png`` (object ids).
        stage, seed: see ``ReferringClips``.

    Raises:
        FileNotFoundError: the JSON file is missing.
        ValueError: the JSON file has another format, or an expression has no object id.
    """

    def __init__(self, root: Path, stage: ReferringStageConfig, *, seed: int | Sequence[int] = 0) -> None:
        super().__init__(stage, seed=seed)
        self.meta = root / _VIDEO_META
        self.images = root / "train" / "JPEGImages"
        self.annotations = root / "train" / "Annotations"
        self.frames, self.expressions = _read_expressions(self.meta)
        starts = [range(0, len(self.frames[e.video]), self.stage.clip_length) for e in self.expressions]
        # arrays: in each worker, reading Python objects would copy their memory (reference counts)
        self._expression = np.repeat(np.arange(len(starts)), [len(own) for own in starts])
        self._start = np.concatenate([np.array(own) for own in starts])

    def __len__(self) -> int:
        return len(self._start)

    def _name(self, index: int) -> str:
        expression = self.expressions[self._expression[index]]
        frame = self.frames[expression.video][self._start[index]]
        return f"video {expression.video}, expression {expression.key}, frame {frame}"

    def _read(self, index: int, rng: np.random.Generator) -> _Raw | None:
        expression = self.expressions[self._expression[index]]
        names = self.frames[expression.video]
        numbers = draw_frames(len(names), int(self._start[index]), self.stage.clip_length, rng, self.stage.max_skip)
        chosen = [names[number] for number in numbers]
        masks = self._masks(expression, chosen)
        if not any(mask.any() for mask in masks):
            return None
        paths = [self.images / expression.video / f"{name}.jpg" for name in chosen]
        frames = [read_image(self._existing(path), (masks[0].shape[0], masks[0].shape[1])) for path in paths]
        return _Raw(frames, masks, expression.caption)

    def _masks(self, expression: _Expression, names: Sequence[str]) -> Masks:
        masks: Masks = []
        for name in names:
            path = self.annotations / expression.video / f"{name}.png"
            masks.append(read_labels(self._existing(path)) == expression.object_id)
            (height, width), first = masks[-1].shape, masks[0].shape
            if (height, width) != first:
                raise ValueError(
                    f"{path}: this mask is {height}x{width} (height x width), but another mask of the video is "
                    f"{first[0]}x{first[1]}: extract the video again"
                )
        return masks

    def _existing(self, path: Path) -> Path:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file, but {self.meta} lists its frame: extract the video again")
        return path


def draw_frames(count: int, start: int, length: int, rng: np.random.Generator, farthest: int = 3) -> list[int]:
    """Draw the numbers of ``length`` of ``count`` frames around a frame, in ascending order, perhaps with repetitions.

    The frames are ``start``, a neighbor 1 to ``farthest`` frames before it, a neighbor 1 to ``farthest`` frames after
    it (clamped to the video), and others before the first neighbor or from the second neighbor on, which may thus
    occur twice. For a length of 2, one of the neighbors is chosen. In a short video, the others come from all frames.
    """
    if length == 1:
        return [start]
    before, after = rng.integers(1, farthest + 1, size=2).tolist()
    near = [max(0, start - before), min(count - 1, start + after)]
    if length == 2:
        return sorted((start, near[int(rng.integers(2))]))
    others, pool = length - 3, [*range(near[0]), *range(near[1], count)]
    if len(pool) < others:
        pool = list(range(count))
    return sorted((start, *near, *rng.choice(pool, others, replace=len(pool) < others).tolist()))


def _read_expressions(path: Path) -> tuple[dict[str, tuple[str, ...]], list[_Expression]]:
    """Read the frames of each video, and all expressions."""
    data = _load(path, "give the folder that contains meta_expressions and train")
    videos = data.get("videos") if isinstance(data, dict) else None
    if not isinstance(videos, dict) or not videos:
        raise ValueError(f"{path}: expected a JSON object with 'videos': is it the file of Ref-YouTube-VOS?")
    frames: dict[str, tuple[str, ...]] = {}
    expressions: list[_Expression] = []
    for video, entry in videos.items():
        try:
            frames[video] = tuple(map(str, entry["frames"]))
            expressions += [_expression(path, video, key, value) for key, value in entry["expressions"].items()]
        except (KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"{path}: video {video}: its entry is invalid ({reason})") from None
        if not frames[video]:
            raise ValueError(f"{path}: video {video} lists no frames")
    if not expressions:
        raise ValueError(f"{path}: the file has no expressions")
    return frames, expressions


def _expression(path: Path, video: str, key: str, value: Mapping[str, Any]) -> _Expression:
    object_id = str(value.get("obj_id", ""))
    if not object_id.isdecimal():
        raise ValueError(
            f"{path}: video {video}, expression {key}: no obj_id: give the file of the train split, which states the "
            "object of each expression"
        )
    return _Expression(video, key, clean_caption(value["exp"]), int(object_id))


@dataclass(frozen=True, slots=True)
class _Sentence:
    """Text prompt for an object in an image. ``segmentation`` stays JSON, which takes less memory than lists."""

    file: str
    caption: str
    size: tuple[int, int]
    segmentation: bytes


class ReferringImageClips(ReferringClips):
    """Images of RefCOCO, RefCOCO+ or RefCOCOg, one item for each text prompt, as single frames or synthetic clips.

    Args:
        root: folder with ``train2014`` (images) and ``<name>/instances_<name>_train.json``, a COCO JSON file with an
            image entry for each text prompt (``file_name``, ``height``, ``width``, ``caption``) and one annotation for
            each entry.
        stage, seed: see ``ReferringClips``.
        name: "refcoco", "refcoco+" or "refcocog".

    Raises:
        FileNotFoundError: the JSON file is missing.
        ValueError: the JSON file has another format, or an entry doesn't have exactly one annotation.
    """

    def __init__(
        self, root: Path, stage: ReferringStageConfig, *, seed: int | Sequence[int] = 0, name: str = "refcoco"
    ) -> None:
        super().__init__(stage, seed=seed)
        self.name = name
        self.file = root / _instances(name)
        self.images = root / "train2014"
        self.sentences = _read_sentences(self.file)

    def __len__(self) -> int:
        return len(self.sentences)

    def _name(self, index: int) -> str:
        return f"{self.name} {index}, {self.sentences[index].file}"

    def _read(self, index: int, rng: np.random.Generator) -> _Raw | None:
        sentence = self.sentences[index]
        where = f"{self.file}: image {index} ({sentence.file})"
        mask = _decode(where, json.loads(sentence.segmentation), sentence.size)
        if not mask.any():
            return None
        path = self.images / sentence.file
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such image, but {self.file} lists it: put COCO's train2014 there")
        image = read_image(path, sentence.size)
        if self.stage.clip_length == 1:
            return _Raw([image], [mask], sentence.caption)
        return _Raw(*image_to_clip(image, mask, self.stage.clip_length, rng), sentence.caption)


def _instances(name: str) -> str:
    return f"{name}/instances_{name}_train.json"


def _read_sentences(path: Path) -> list[_Sentence]:
    data = _load(path, "give the folder that contains train2014 and the folders of RefCOCO, RefCOCO+ and RefCOCOg")
    images, annotations = (data.get(key) if isinstance(data, dict) else None for key in ("images", "annotations"))
    if not (isinstance(images, list) and images and isinstance(annotations, list)):
        raise ValueError(f"{path}: expected a COCO JSON file with 'images' and 'annotations'")
    try:
        return list(_sentences(path, images, annotations))
    except (KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path}: an image or annotation is invalid ({reason})") from None


def _sentences(path: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> Iterator[_Sentence]:
    by_image: dict[Any, list[Any]] = {}
    for annotation in annotations:
        by_image.setdefault(annotation["image_id"], []).append(annotation["segmentation"])
    known: dict[bytes, bytes] = {}  # shared by the several text prompts of an object
    for image in images:
        own = by_image.get(image["id"], [])
        if len(own) != 1:
            raise ValueError(
                f"{path}: image {image['id']} ({image.get('file_name')}): {len(own)} annotations, expected exactly one"
            )
        packed = json.dumps(own[0], separators=(",", ":")).encode()
        size = int(image["height"]), int(image["width"])
        yield _Sentence(image["file_name"], clean_caption(image["caption"]), size, known.setdefault(packed, packed))


def _decode(where: str, segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Decode polygons or a run-length encoding to H x W bool. Polygons with one or two points are skipped."""
    if isinstance(segmentation, list):
        segmentation = [p for p in segmentation if not (isinstance(p, list) and len(p) < 6)]
    return decode_segmentation(where, segmentation, size)


def _load(path: Path, advice: str) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file: {advice}")
    return load_json(path)


class ReferringData(ConcatDataset[ReferringClip]):
    """Concatenated datasets of clips with text prompts."""

    def __init__(self, parts: Sequence[ReferringClips]) -> None:
        super().__init__(parts)
        self.parts = tuple(parts)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of all parts, see ``ReferringClips``."""
        for part in self.parts:
            part.set_epoch(epoch)


def build_referring_data(stage: StageConfig, data_root: str | os.PathLike[str], seed: int = 0) -> ReferringData:
    """Build the training data of a stage from its datasets, in order. Collate it with ``collate_referring``.

    - ``refytvos``: Ref-YouTube-VOS in ``data_root/ref-youtube-vos`` or ``data_root``, see ``ReferringVideoClips``.
    - ``refcoco``, ``refcoco+``, ``refcocog``: in ``data_root/coco`` or ``data_root``, see ``ReferringImageClips``.

    Raises:
        FileNotFoundError: a dataset is missing.
        ValueError: the stage isn't a ``ReferringStageConfig`` or has no datasets, or a dataset is unknown or invalid.
    """
    if not isinstance(stage, ReferringStageConfig):
        raise ValueError(
            f"clips with text prompts need a stage that derives from ReferringStageConfig, not {type(stage).__name__}"
        )
    if not stage.datasets:
        raise ValueError("the stage has no datasets: set its field 'datasets'")
    parts = [_build_part(name, stage, Path(data_root), (seed, place)) for place, name in enumerate(stage.datasets)]
    return ReferringData(parts)


def _build_part(name: str, stage: ReferringStageConfig, root: Path, seed: Sequence[int]) -> ReferringClips:
    if name == "refytvos":
        return ReferringVideoClips(_folder(root, "ref-youtube-vos", _VIDEO_META), stage, seed=seed)
    if name in IMAGE_SETS:
        return ReferringImageClips(_folder(root, "coco", _instances(name)), stage, seed=seed, name=name)
    raise ValueError(f"unknown training dataset with text prompts {name!r}: {suggest(name, ('refytvos', *IMAGE_SETS))}")


def _folder(root: Path, name: str, file: str) -> Path:
    """Return ``root/name`` or ``root``, whichever contains the file."""
    for folder in (root / name, root):
        if (folder / file).is_file():
            return folder
    raise FileNotFoundError(
        f"{root}: neither {name}/{file} nor {file} is in this folder: give the folder of the datasets"
    )
