"""Export to CVAT XML 1.1 for video: tracks of masks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from voskit.dataloaders.masks.palette import bright_colors
from voskit.evaluators.exports.base import EXPORTS, Export, ExportClip, ObjectSpools, OutputFile
from voskit.evaluators.exports.frames import ExportFrame, Region

_UNNAMED = "object"


@EXPORTS.register("cvat")
@dataclass(kw_only=True)
class CvatExport(Export):
    """``cvat.xml``: a track for each object, with its id and name, and a mask in each frame that shows it.

    The first frame without the object repeats its last mask with ``outside="1"``, which ends the track there.
    """

    output = "cvat.xml"

    def start(self, clip: ExportClip, folder: Path) -> None:
        super().start(clip, folder)
        self._spools = ObjectSpools(self.path)
        self._shown: dict[int, str] = {}
        self._frames = 0

    def write(self, frame: ExportFrame) -> None:
        for object_id in self._shown.keys() - frame.regions.keys():
            self._append(object_id, self._shown.pop(object_id), outside=True)
        for object_id, region in frame.regions.items():
            self._shown[object_id] = mask_attributes(region)
            self._append(object_id, self._shown[object_id], outside=False)
        self._frames += 1

    def close(self, *, complete: bool = True) -> None:
        output = OutputFile(self.path)
        with output.temporary.open("w", encoding="utf-8") as file:
            file.write(
                f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n{self._meta()}'
            )
            for object_id in self._spools.ids:
                file.write(f'  <track id="{object_id}" label={quoteattr(self._label(object_id))} source="auto">\n')
                file.writelines(f"    {line}\n" for line in self._spools.lines(object_id))
                file.write("  </track>\n")
            file.write("</annotations>\n")
        self._spools.remove()
        output.finish(complete=complete)

    def _append(self, object_id: int, attributes: str, *, outside: bool) -> None:
        state = f'keyframe="1" outside="{int(outside)}" occluded="0"'
        self._spools.append(object_id, f'<mask frame="{self._frames}" {state} {attributes} z_order="0"></mask>')

    def _label(self, object_id: int) -> str:
        return _text(self.clip.names.get(object_id) or _UNNAMED)

    def _meta(self) -> str:
        height, width = self.clip.size
        labels = list(dict.fromkeys(map(self._label, self._spools.ids)))
        colors = ["#{:02x}{:02x}{:02x}".format(*color) for color in bright_colors(range(1, len(labels) + 1)).tolist()]
        lines = [
            "  <meta>",
            "    <task>",
            f"      <name>{escape(_text(self.clip.name))}</name>",
            f"      <size>{self._frames}</size>",
            "      <mode>interpolation</mode>",
            "      <overlap>0</overlap>",
            "      <start_frame>0</start_frame>",
            f"      <stop_frame>{max(0, self._frames - 1)}</stop_frame>",
            "      <labels>",
            *(
                f"        <label><name>{escape(label)}</name><color>{color}</color><type>mask</type>"
                "<attributes></attributes></label>"
                for label, color in zip(labels, colors, strict=True)
            ),
            "      </labels>",
            f"      <original_size><width>{width}</width><height>{height}</height></original_size>",
            "    </task>",
            "  </meta>",
        ]
        return "\n".join(lines) + "\n"


def _text(name: str) -> str:
    """Replace control characters and undecodable bytes in a name, which aren't allowed in XML."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", name)


def mask_attributes(region: Region) -> str:
    """Return a mask's XML attributes: its box, and row-by-row run lengths within it, starting with a run of zeros."""
    values = region.values.ravel()
    borders = np.flatnonzero(np.diff(values)) + 1
    runs = np.diff(np.concatenate([[0], borders, [values.size]])).tolist()
    runs = [0, *runs] if values[0] else runs
    left, top, width, height = region.box
    return f'rle="{", ".join(map(str, runs))}" left="{left}" top="{top}" width="{width}" height="{height}"'
