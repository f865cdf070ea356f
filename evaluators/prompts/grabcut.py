"""GrabCut (Rother et al., 2004) from points, a box and the current mask; needs no weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.graph import MCP_Geometric

from voskit.evaluators.prompts.base import PROMPTERS, Box, Point, Prompt, check_prompt

_SURE_BACKGROUND, _SURE_OBJECT, _BACKGROUND, _OBJECT = cv2.GC_BGD, cv2.GC_FGD, cv2.GC_PR_BGD, cv2.GC_PR_FGD
_GEODESIC_PIXELS = 20_000
_STEP = 0.5  # cost of a step between pixels of equal color
_DISK = 0.012  # radius of the sure pixels around a point, as a fraction of the crop's short edge
_BAND = 0.15  # half width of the uncertain band around a guess, as a fraction of the object's short edge
_EMPTY = 0.08  # a cut that covers less than this fraction of its box has failed

Window = tuple[int, int, int, int]  # x0, y0, x1, y1


@PROMPTERS.register("grabcut")
@dataclass(frozen=True, kw_only=True)
class GrabCut:
    """GrabCut on a crop around the object, downscaled to a maximum number of pixels.

    A box bounds the object. Points alone give a guess by geodesic distances (Bai and Sapiro, 2007): a pixel belongs to
    the point, or to the border of the frame, that it reaches across the weakest edges. The outline of the guess is then
    cut. With a mask, points that contradict it change the part in which they lie; the rest of the mask stays as it is.

    Args:
        pixels: maximum number of pixels of the crop; more are finer and slower.
        iterations: number of updates of the color models and the cut.
        margin: margin of the crop around the object, as a fraction of the object's size.
    """

    pixels: int = 50_000
    iterations: int = 3
    margin: float = 0.3

    def __post_init__(self) -> None:
        for name, least in (("pixels", 100), ("iterations", 1), ("margin", 0)):
            if not getattr(self, name) >= least:
                raise ValueError(f"prompter grabcut: {name} must be at least {least}, got {getattr(self, name)}")

    def segment(
        self,
        image_HW3: np.ndarray,
        *,
        points: Sequence[tuple[float, float, bool]] = (),
        box: Box | None = None,
        mask: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the mask of the object, [H, W] bool; see ``Prompter.segment``."""
        prompt = check_prompt(image_HW3, points, box, mask)
        if prompt.mask is None and prompt.box is not None:
            return self._cut_box(image_HW3, prompt, prompt.box)
        guess = _guess(image_HW3, prompt)
        if prompt.mask is not None:
            guess = _corrected(prompt.mask, guess, prompt.points)
            if prompt.box is not None:
                guess = guess & _filled(prompt.box, guess.shape)
            if not guess.any() or not prompt.points:
                return guess
        cut = self._cut_outline(image_HW3, prompt, guess)
        return cut if prompt.mask is None else _corrected(prompt.mask, cut, prompt.points)

    def _cut_box(self, image_HW3: np.ndarray, prompt: Prompt, box: Window) -> np.ndarray:
        """Cut the object of a box, outside which everything is background."""
        crop = _Crop(image_HW3, self._window(box, image_HW3.shape), self.pixels)
        inside = crop.reduced(_filled(box, image_HW3.shape[:2]))
        labels = np.where(inside, np.uint8(_OBJECT), np.uint8(_SURE_BACKGROUND))
        points = crop.draw(labels, prompt.points)
        found = self._cut(crop.image, labels)
        if found.sum() < _EMPTY * inside.sum():  # both have the same colors: start from the middle of the box
            labels = np.where(inside, np.uint8(_BACKGROUND), np.uint8(_SURE_BACKGROUND))
            x, y, width, height = cv2.boundingRect(inside.astype(np.uint8))
            cv2.ellipse(
                labels, (x + width // 2, y + height // 2), (width * 2 // 5, height * 2 // 5), 0, 0, 360, _OBJECT, -1
            )
            cv2.ellipse(
                labels, (x + width // 2, y + height // 2), (width // 5, height // 5), 0, 0, 360, _SURE_OBJECT, -1
            )
            crop.draw(labels, prompt.points)
            found = self._cut(crop.image, labels)
        return crop.enlarged(_cleaned(found, points))

    def _cut_outline(self, image_HW3: np.ndarray, prompt: Prompt, guess_HW: np.ndarray) -> np.ndarray:
        """Move the outline of a guess to edges near it."""
        x, y, width, height = cv2.boundingRect(guess_HW.astype(np.uint8))
        crop = _Crop(image_HW3, self._window((x, y, x + width, y + height), image_HW3.shape), self.pixels)
        guess = crop.reduced(guess_HW).astype(np.uint8)
        _, _, width, height = cv2.boundingRect(guess)
        radius = max(2, round(_BAND * min(width, height)))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        labels = np.where(guess > 0, np.uint8(_OBJECT), np.uint8(_BACKGROUND))
        labels[cv2.erode(guess, kernel) > 0] = _SURE_OBJECT
        labels[cv2.dilate(guess, kernel) == 0] = _SURE_BACKGROUND
        points = crop.draw(labels, prompt.points)
        return crop.enlarged(_cleaned(self._cut(crop.image, labels), points))

    def _window(self, box: Window, shape: Sequence[int]) -> Window:
        """Return the pixels of a box and its margin in the frame."""
        x0, y0, x1, y1 = box
        margin = max(8, round(self.margin * max(x1 - x0, y1 - y0)))
        return max(0, x0 - margin), max(0, y0 - margin), min(shape[1], x1 + margin), min(shape[0], y1 + margin)

    def _cut(self, image_hw3: np.ndarray, labels_hw: np.ndarray) -> np.ndarray:
        """Return the object [h, w] bool; labels are OpenCV's."""
        objects = labels_hw & 1 > 0
        if objects.all() or not objects.any():  # one of the two has no pixels to learn colors from
            return objects
        cv2.setRNGSeed(0)  # for the color clustering, so that equal prompts give equal masks
        found = labels_hw.copy()
        colors, other_colors = np.zeros((1, 65)), np.zeros((1, 65))
        whole = (0, 0, *found.shape[::-1])  # unused: labels say what is known
        cv2.grabCut(image_hw3, found, whole, colors, other_colors, self.iterations, cv2.GC_INIT_WITH_MASK)
        return found & 1 > 0


class _Crop:
    """A window of a frame at a reduced size.

    Args:
        image_HW3: the frame.
        window: the part of the frame.
        pixels: maximum number of pixels at the reduced size.
    """

    def __init__(self, image_HW3: np.ndarray, window: Window, pixels: int) -> None:
        self._shape = image_HW3.shape[:2]
        self._x0, self._y0, self._x1, self._y1 = window
        self._width, self._height = self._x1 - self._x0, self._y1 - self._y0
        scale = min(1.0, (pixels / (self._width * self._height)) ** 0.5)
        self._size = max(1, round(self._width * scale)), max(1, round(self._height * scale))
        self.image = self._resized(image_HW3)

    def _resized(self, array: np.ndarray) -> np.ndarray:
        part = np.ascontiguousarray(array[self._y0 : self._y1, self._x0 : self._x1])
        return cv2.resize(part, self._size, interpolation=cv2.INTER_AREA)

    def reduced(self, mask_HW: np.ndarray) -> np.ndarray:
        """Return the part of a mask at the reduced size, bool."""
        return self._resized(mask_HW.astype(np.float32)) >= 0.5

    def enlarged(self, mask_hw: np.ndarray) -> np.ndarray:
        """Return a mask [H, W] bool of the frame, without objects outside the window."""
        whole = np.zeros(self._shape, bool)
        part = cv2.resize(mask_hw.astype(np.float32), (self._width, self._height), interpolation=cv2.INTER_LINEAR)
        whole[self._y0 : self._y1, self._x0 : self._x1] = part >= 0.5
        return whole

    def place(self, point: Point) -> tuple[int, int]:
        """Return the column and row of a point, which may lie outside the window."""
        x = int((point.x - self._x0) * self._size[0] / self._width)
        y = int((point.y - self._y0) * self._size[1] / self._height)
        return x, y

    def draw(self, labels_hw: np.ndarray, points: Sequence[Point]) -> list[tuple[int, int]]:
        """Mark points as sure, in place; return the places of the positive ones inside the window."""
        radius = max(1, round(_DISK * min(self._size)))
        inside = []
        for point in points:
            place = self.place(point)
            cv2.circle(labels_hw, place, radius, _SURE_OBJECT if point.positive else _SURE_BACKGROUND, -1)
            if point.positive and 0 <= place[0] < self._size[0] and 0 <= place[1] < self._size[1]:
                inside.append(place)
        return inside


def _guess(image_HW3: np.ndarray, prompt: Prompt) -> np.ndarray:
    """Return the pixels that are nearer to positive points than to others and the frame's border, [H, W] bool."""
    height, width = image_HW3.shape[:2]
    crop = _Crop(image_HW3, (0, 0, width, height), _GEODESIC_PIXELS)
    lab = cv2.GaussianBlur(cv2.cvtColor(crop.image, cv2.COLOR_RGB2LAB).astype(np.float32), (0, 0), 1.0)
    edges = np.sum([cv2.Sobel(lab, -1, dx, 1 - dx) ** 2 for dx in (0, 1)], axis=(0, 3))
    cost = _STEP + np.sqrt(edges) / 8
    rows, columns = cost.shape
    ours = [crop.place(point)[::-1] for point in prompt.points if point.positive]
    if prompt.mask is not None and not ours:
        ours = [_center(crop.reduced(prompt.mask), [crop.place(point) for point in prompt.points])]
    others = [crop.place(point)[::-1] for point in prompt.points if not point.positive]
    others += [(y, x) for y in (0, rows - 1) for x in range(columns)]
    others += [(y, x) for x in (0, columns - 1) for y in range(rows)]
    near = MCP_Geometric(cost).find_costs(ours)[0]
    far = MCP_Geometric(cost).find_costs([place for place in others if place not in ours] or ours)[0]
    return crop.enlarged(near < far)


def _center(mask_hw: np.ndarray, others: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the row and column inside a mask that is farthest from its outline and from negative points."""
    inside = np.pad(mask_hw.astype(np.uint8), 1)
    for x, y in others:
        inside[y + 1, x + 1] = 0
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(row), int(column)


def _corrected(mask_HW: np.ndarray, new_HW: np.ndarray, points: Sequence[Point]) -> np.ndarray:
    """Change the mask only in those connected differences that contain a point it contradicts."""
    wrong = [(int(p.y), int(p.x)) for p in points if mask_HW[int(p.y), int(p.x)] != p.positive]
    _, parts = cv2.connectedComponents((mask_HW != new_HW).astype(np.uint8), connectivity=4)
    chosen = {int(parts[place]) for place in wrong} - {0}
    return mask_HW ^ np.isin(parts, list(chosen))


def _cleaned(mask_hw: np.ndarray, points: Sequence[tuple[int, int]]) -> np.ndarray:
    """Keep the parts with positive points, or without any, those of at least a tenth of the largest one."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask_hw.astype(np.uint8))
    if count <= 2:
        return mask_hw
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = {int(parts[y, x]) for x, y in points} - {0}
    kept = kept or {number + 1 for number in np.flatnonzero(areas >= 0.1 * areas.max())}
    return np.isin(parts, list(kept))


def _filled(box: Window, shape: Sequence[int]) -> np.ndarray:
    """Return a mask [H, W] bool of a box."""
    mask = np.zeros(shape[:2], bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask
