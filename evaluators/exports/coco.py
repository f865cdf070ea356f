"""Export to COCO, YouTube-VIS and COCO-VID JSON: run-length encoded masks with tracks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from pycocotools import mask as coco

from voskit.evaluators.exports.base import EXPORTS, Export, ExportClip, ObjectSpools, OutputFile
from voskit.evaluators.exports.frames import ExportFrame

_UNNAMED = "object"


class Categories:
    """Categories of a clip's objects: one per name, and one for objects without a name."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._ids: dict[str, int] = {}

    def __getitem__(self, object_id: int) -> int:
        name = self._names.get(object_id) or _UNNAMED
        return self._ids.setdefault(name, len(self._ids) + 1)

    def table(self) -> list[dict[str, Any]]:
        """Return the list of categories of a COCO file."""
        return [{"id": number, "name": name, "supercategory": ""} for name, number in self._ids.items()]


@EXPORTS.register("coco")
@dataclass(kw_only=True)
class CocoExport(Export):
    """``coco.json``: an image for each frame; an annotation's ``track_id`` is its object's id."""

    output = "coco.json"

    def start(self, clip: ExportClip, folder: Path) -> None:
        super().start(clip, folder)
        self._file = OutputFile(self.path)
        self._json: IO[str] = self._file.temporary.open("w", encoding="utf-8")
        self._json.write('{"annotations": [')
        self._images: list[dict[str, Any]] = []
        self._categories = Categories(clip.names)
        self._annotations = 0

    def write(self, frame: ExportFrame) -> None:
        self._images.append(self._image(frame))
        for object_id, encoding in run_lengths(frame):
            self._annotations += 1
            self._json.write(",\n" if self._annotations > 1 else "\n")
            json.dump(self._annotation(frame, object_id, encoding), self._json)

    def close(self, *, complete: bool = True) -> None:
        with self._json:
            self._json.write("\n]")
            for key, value in self._tables().items():
                self._json.write(f',\n"{key}": {json.dumps(value)}')
            self._json.write("}\n")
        self._file.finish(complete=complete)

    def _image(self, frame: ExportFrame) -> dict[str, Any]:
        height, width = self.clip.size
        number = len(self._images)
        time = {} if frame.frame.time is None else {"time": round(frame.frame.time, 6)}
        image = {"id": number + 1, "file_name": frame.file, "width": width, "height": height, "frame_index": number}
        return {**image, **time}

    def _annotation(self, frame: ExportFrame, object_id: int, encoding: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": self._annotations,
            "image_id": len(self._images),
            "category_id": self._categories[object_id],
            "track_id": object_id,
            "segmentation": encoding,
            "area": int(coco.area(encoding)),
            "bbox": frame.regions[object_id].box,
            "iscrowd": 0,
        }

    def _tables(self) -> dict[str, Any]:
        return {"images": self._images, "categories": self._categories.table()}


@EXPORTS.register("coco-vid")
@dataclass(kw_only=True)
class CocoVideoExport(CocoExport):
    """``coco-vid.json``: COCO with videos; ``instance_id`` is the object's id, ``frame_id`` the number of the frame."""

    output = "coco-vid.json"

    def _image(self, frame: ExportFrame) -> dict[str, Any]:
        image = super()._image(frame)
        file = f"{self.clip.name}/{image['file_name']}"
        return {**image, "file_name": file, "video_id": 1, "frame_id": image["frame_index"]}

    def _annotation(self, frame: ExportFrame, object_id: int, encoding: dict[str, Any]) -> dict[str, Any]:
        return {**super()._annotation(frame, object_id, encoding), "video_id": 1, "instance_id": object_id}

    def _tables(self) -> dict[str, Any]:
        height, width = self.clip.size
        video = {"id": 1, "name": self.clip.name, "width": width, "height": height, "length": len(self._images)}
        return {"videos": [video], **super()._tables()}


@EXPORTS.register("youtube-vis")
@dataclass(kw_only=True)
class YouTubeVisExport(Export):
    """``youtube-vis.json``: one video, and an annotation for each object, with its id and an entry for each frame."""

    output = "youtube-vis.json"

    def start(self, clip: ExportClip, folder: Path) -> None:
        super().start(clip, folder)
        self._spools = ObjectSpools(self.path)
        self._categories = Categories(clip.names)
        self._files: list[str] = []

    def write(self, frame: ExportFrame) -> None:
        for object_id, encoding in run_lengths(frame):
            entry = [len(self._files), encoding, frame.regions[object_id].box, int(coco.area(encoding))]
            self._spools.append(object_id, json.dumps(entry))
        self._files.append(f"{self.clip.name}/{frame.file}")

    def close(self, *, complete: bool = True) -> None:
        height, width = self.clip.size
        output = OutputFile(self.path)
        categories = {object_id: self._categories[object_id] for object_id in self._spools.ids}
        with output.temporary.open("w", encoding="utf-8") as file:
            video = {"id": 1, "width": width, "height": height, "length": len(self._files), "file_names": self._files}
            file.write(f'{{"videos": [{json.dumps(video)}],\n"categories": {json.dumps(self._categories.table())},\n')
            file.write('"annotations": [')
            for place, (object_id, category) in enumerate(categories.items()):
                fields = {"id": object_id, "video_id": 1, "category_id": category, "iscrowd": 0}
                fields |= {"height": height, "width": width, "length": len(self._files)}
                file.write(f"{',' if place else ''}\n{json.dumps(fields)[:-1]}")
                for column, key in enumerate(("segmentations", "bboxes", "areas"), 1):
                    file.write(f',\n"{key}": [')
                    file.writelines(self._column(object_id, column))
                    file.write("]")
                file.write("}")
            file.write("\n]}\n")
        self._spools.remove()
        output.finish(complete=complete)

    def _column(self, object_id: int, column: int) -> Iterator[str]:
        """Yield one of an object's values for each frame as JSON, ``null`` for frames without it."""
        entries: Iterable[list[Any]] = map(json.loads, self._spools.lines(object_id))
        number = 0
        for entry in entries:
            yield from self._nulls(number, entry[0])
            yield f"{', ' if entry[0] else ''}{json.dumps(entry[column])}"
            number = entry[0] + 1
        yield from self._nulls(number, len(self._files))

    def _nulls(self, first: int, end: int) -> Iterator[str]:
        return (f"{', ' if number else ''}null" for number in range(first, end))


def run_lengths(frame: ExportFrame) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each visible object with COCO's compressed run-length encoding of its mask."""
    for object_id, region in frame.regions.items():
        mask_HW = np.zeros(frame.ids.shape, np.uint8, order="F")
        encoding = coco.encode(region.paste(mask_HW))
        yield object_id, {"size": encoding["size"], "counts": encoding["counts"].decode("ascii")}
