"""First mask of a clip from points and boxes of its objects."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voskit.dataloaders.files import make_folder
from voskit.dataloaders.masks.files import write_mask
from voskit.dataloaders.masks.frame_masks import FrameMasks, masks_for
from voskit.dataloaders.video.source import FrameSource
from voskit.evaluators.prompts.base import Box, Point, Prompter, build_prompter, check_result

logger = logging.getLogger(__name__)


@dataclass
class ObjectPrompt:
    """Points and the box of one object."""

    points: list[Point] = field(default_factory=list)
    box: Box | None = None


def read_prompts(boxes: Sequence[str], points: Sequence[str]) -> dict[int, ObjectPrompt]:
    """Read boxes such as ``"1:x0,y0,x1,y1"`` and points such as ``"1:x,y"``, or ``"1:x,y,0"`` for a negative one.

    Returns:
        the prompt of each object by its id, in the order in which ids are first named.

    Raises:
        ValueError: a malformed text, two boxes for one object, or an object with negative points only.
    """
    prompts: dict[int, ObjectPrompt] = {}
    for text in boxes:
        object_id, (x0, y0, x1, y1) = _numbers("box", text, "ID:x0,y0,x1,y1", (4,))
        prompt = prompts.setdefault(object_id, ObjectPrompt())
        if prompt.box is not None:
            raise ValueError(f"--box {text}: object {object_id} has two boxes: give one")
        prompt.box = x0, y0, x1, y1
    for text in points:
        object_id, (x, y, *label) = _numbers("point", text, "ID:x,y, or ID:x,y,0 for a negative point", (2, 3))
        if label not in ([], [0], [1]):
            raise ValueError(f"--point {text}: the last number must be 1 (on the object) or 0 (on anything else)")
        prompts.setdefault(object_id, ObjectPrompt()).points.append(Point(x, y, label != [0]))
    for object_id, prompt in prompts.items():
        if prompt.box is None and not any(point.positive for point in prompt.points):
            raise ValueError(f"--point: object {object_id} has negative points only: add a box or a positive point")
        for point in prompt.points:
            if point.positive and prompt.box is not None and not _holds(prompt.box, point):
                raise ValueError(
                    f"--point {object_id}:{point.x:g},{point.y:g}: it is on the object, but outside its box: enlarge "
                    "the box, or remove the point"
                )
    return prompts


def _holds(box: Box, point: Point) -> bool:
    (x0, x1), (y0, y1) = sorted((box[0], box[2])), sorted((box[1], box[3]))
    return x0 <= point.x <= x1 and y0 <= point.y <= y1


def _numbers(flag: str, text: str, form: str, counts: Sequence[int]) -> tuple[int, list[float]]:
    """Return the object id and the numbers of a flag's value."""
    name, sign, rest = text.partition(":")
    try:
        object_id, numbers = int(name), [float(number) for number in rest.split(",")]
    except ValueError:
        sign = ""
    if not sign or len(numbers) not in counts:
        raise ValueError(f"--{flag} {text}: expected {form}, in pixels of the first frame")
    coordinates = numbers[: min(counts) // 2 * 2]
    if all(0 <= value <= 1 for value in coordinates) and any(value % 1 for value in coordinates):
        raise ValueError(f"--{flag} {text}: these look like fractions of the frame: give pixels")
    if not 0 < object_id < 2**16:
        raise ValueError(f"--{flag} {text}: object ids must be 1 to 65535")
    return object_id, numbers


def prompted_ids(image_HW3: np.ndarray, prompts: Mapping[int, ObjectPrompt], prompter: Prompter) -> np.ndarray:
    """Return the ids of prompted objects in a frame, [H, W] uint16; of two that overlap, the later one is on top.

    Raises:
        ValueError: a prompt that doesn't fit the frame, or an object without a pixel; the message names the object.
    """
    ids = np.zeros(image_HW3.shape[:2], np.uint16)
    for object_id, prompt in prompts.items():
        try:
            found = check_result(prompter.segment(image_HW3, points=prompt.points, box=prompt.box), image_HW3)
        except ValueError as error:
            raise ValueError(f"object {object_id}: {error}") from error
        if not found.any():
            raise ValueError(f"object {object_id}: its prompt selects no pixel: add a point on it, or a tighter box")
        ids[found] = object_id
    for object_id in prompts:
        if not (ids == object_id).any():
            raise ValueError(
                f"object {object_id}: objects named later cover all of it: name it last, or add points that separate "
                "them"
            )
    return ids


@dataclass
class PromptedMask:
    """The mask of a clip's first frame from prompts, as :class:`~voskit.evaluators.clips.sources.Clip` takes it.

    It is written to ``<output>/<clip>_mask.png``, next to the results folder.

    Args:
        prompts: the prompt of each object, by its id.
        prompter: text of :func:`~voskit.evaluators.prompts.base.build_prompter`.
        output: folder of all results.
    """

    prompts: Mapping[int, ObjectPrompt]
    prompter: str
    output: Path
    _written: Path | None = field(default=None, init=False)

    def __call__(self, source: FrameSource) -> FrameMasks:
        """Segment the first frame, once, and return the clip's masks.

        Raises:
            ValueError: see :func:`prompted_ids`, or a camera, whose first frame would be lost.
            OSError: the mask can't be written.
        """
        path = self.output / f"{source.name}_mask.png"
        if self._written != path:
            source.check_rereadable()
            with closing(source.between(0, 0)) as frames:  # type: ignore[type-var]
                image = next(frames).image
            ids = prompted_ids(image, self.prompts, build_prompter(self.prompter))
            make_folder(self.output)
            write_mask(path, ids)
            self._written = path
        logger.info("%s is the first mask, made from your points and boxes: check it", path)
        return masks_for(path, source)
