"""Surfaces ("stuff") made from photographs: sky, ground, wall, windows, table, shelf, pictures.

Surfaces are drawn on a canvas wider than a frame, so that the camera can move. ``ORIGIN`` is the position of the first
frame's top left pixel on the canvas.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .cutouts import MARGIN
from .pictures import load_picture, shrunk, tinted
from .shapes import Point, Sprite, arch, ellipse, fill, padded, spline

FRAME_SIZE = (624, 1104)
CANVAS = (844, 1424)
ORIGIN = (160, 110)
WINDOWS = {"left": (64, 44, 366, 404), "right": (474, 64, 694, 404)}
FRAME_WIDTH = 16

BRICK_RED = [
    (0.0, (44, 24, 20)),
    (0.36, (122, 58, 42)),
    (0.5, (170, 92, 66)),
    (0.72, (206, 168, 142)),
    (1.0, (250, 230, 210)),
]
MEADOW = [(0.0, (10, 18, 8)), (0.5, (70, 92, 48)), (0.8, (146, 158, 96)), (1.0, (226, 228, 184))]
PEBBLE = [(0.0, (26, 22, 22)), (0.5, (140, 126, 114)), (1.0, (250, 240, 226))]
PAPER = [(0.0, (40, 28, 20)), (0.45, (150, 124, 90)), (0.7, (232, 212, 168)), (1.0, (255, 246, 220))]


def on_canvas(points: np.ndarray | Sequence[Point]) -> np.ndarray:
    """Points of the first frame (x, y) as points of the canvas."""
    return np.asarray(points, dtype=np.float64) + ORIGIN


def mirrored(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Tile a photograph with its mirror images to a texture of the given size."""
    rows, columns = (
        np.abs((np.arange(n) + m) % (2 * m) - m) for n, m in ((height, rgb.shape[0]), (width, rgb.shape[1]))
    )
    return rgb[np.minimum(rows, rgb.shape[0] - 1)][:, np.minimum(columns, rgb.shape[1] - 1)]


def perspective(texture: np.ndarray, corners: list[tuple[float, float]]) -> np.ndarray:
    """The texture drawn on the canvas with its corners (from the top left, clockwise) at points of the first frame."""
    h, w = texture.shape[:2]
    source = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32)
    matrix = cv2.getPerspectiveTransform(source, on_canvas(corners).astype(np.float32))
    drawn = cv2.warpPerspective(texture, matrix, CANVAS[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.nan_to_num(drawn)  # no texture at the plane's horizon


def planks(height: int, width: int, plank: int, seed: int) -> np.ndarray:
    """Boards of the wooden table in the coffee photograph, ``plank`` rows each."""
    board = np.rot90(load_picture("coffee")[130:400, 484:600])
    scaled = cv2.resize(board, (405, plank), interpolation=cv2.INTER_AREA if plank < 116 else cv2.INTER_CUBIC)
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(-(-height // plank)):
        row = mirrored(scaled[:: rng.choice([-1, 1])], plank, width + 400)[:, rng.integers(400) :][:, :width]
        row = row * rng.uniform(0.82, 1.06)
        row[:2] *= 0.45
        rows.append(row)
    return np.clip(np.concatenate(rows)[:height], 0, 1).astype(np.float32)


def sky() -> Sprite:
    """Hubble's deep field over the last light of the dusk behind the launch pad."""
    stars = shrunk(load_picture("hubble"), 1.45)[: CANVAS[0], : CANVAS[1]]
    dusk = cv2.GaussianBlur(load_picture("rocket")[:360, 225:300], (0, 0), 12)
    dusk = cv2.resize(dusk, CANVAS[::-1], interpolation=cv2.INTER_CUBIC)
    return Sprite(1 - (1 - stars) * (1 - 0.85 * dusk), np.ones(CANVAS, np.float32))


def meadow() -> Sprite:
    """A hill of grass."""
    grass = mirrored(shrunk(tinted(load_picture("grass"), MEADOW), 0.7), 420, 2048)
    rgb = perspective(grass, [(-300, 290), (1400, 290), (1900, 640), (-800, 640)])
    crest = [
        (-400, 330),
        (-160, 318),
        (80, 306),
        (240, 322),
        (420, 336),
        (560, 318),
        (680, 300),
        (900, 306),
        (1500, 320),
    ]
    return Sprite(rgb, fill(CANVAS, spline(on_canvas([*crest, (1500, 1000), (-400, 1000)]))))


def path() -> Sprite:
    """A gravel path that comes down the hill."""
    gravel = mirrored(shrunk(tinted(load_picture("gravel"), PEBBLE), 0.7), 480, 1024)
    rgb = perspective(gravel, [(380, 300), (860, 300), (1100, 560), (140, 560)])
    edge = [(606, 304), (622, 302), (632, 312), (618, 332), (626, 352), (652, 378), (690, 420), (760, 480), (540, 480)]
    edge += [(556, 420), (572, 378), (580, 352), (586, 330), (600, 316)]
    return Sprite(rgb, fill(CANVAS, spline(on_canvas(edge))))


def _window(name: str, inset: float) -> np.ndarray:
    left, top, right, bottom = WINDOWS[name]
    return fill(CANVAS, on_canvas(arch(left + inset, top + inset, right - inset, bottom - inset)))


def bricks() -> np.ndarray:
    """The brick photograph seen from the front: its rows, which converge, are made parallel and level."""
    photo = load_picture("brick")
    converging = np.array([(67, 0), (425, 0), (512, 512), (0, 512)], np.float32)
    square = np.array([(0, 0), (512, 0), (512, 512), (0, 512)], np.float32)
    matrix = cv2.getPerspectiveTransform(converging, square)
    return np.rot90(cv2.warpPerspective(photo, matrix, (512, 512), flags=cv2.INTER_CUBIC)).clip(0, 1)


def wall() -> Sprite:
    """The brick wall with its two openings, lit from the right."""
    rgb = mirrored(tinted(bricks(), BRICK_RED), *CANVAS)
    y, x = np.mgrid[: CANVAS[0], : CANVAS[1]].astype(np.float32)
    light = 0.62 + 0.5 * np.exp(-(((x - 1000) / 560) ** 2) - ((y - 250) / 420) ** 2)
    openings = np.maximum(_window("left", 6), _window("right", 6))
    return Sprite(np.clip(rgb * light[..., None], 0, 1), 1 - openings)


def window_frame(name: str) -> Sprite:
    """The wooden frame of a window, with its sill."""
    left, _, right, bottom = WINDOWS[name]
    sill = [(left - 16, bottom - 18), (right + 16, bottom - 18), (right + 16, bottom + 8), (left - 16, bottom + 8)]
    outer = np.maximum(_window(name, 0), fill(CANVAS, on_canvas(sill)))
    alpha = np.minimum(outer, 1 - _window(name, FRAME_WIDTH))
    depth = cv2.GaussianBlur(alpha, (0, 0), 5)
    wood = np.ascontiguousarray(np.rot90(planks(CANVAS[1], CANVAS[0], 58, seed=3)))
    sill_wood = planks(*CANVAS, 40, seed=4)
    wood[bottom + ORIGIN[1] - 18 :] = sill_wood[bottom + ORIGIN[1] - 18 :]
    return Sprite(np.clip(wood * (0.55 + 0.6 * depth[..., None]), 0, 1), alpha)


def table_top() -> Sprite:
    """The top of the table, in perspective."""
    rgb = perspective(planks(400, 2000, 100, seed=1), [(-300, 440), (1404, 440), (1900, 606), (-796, 606)])
    return Sprite(rgb, fill(CANVAS, on_canvas([(-160, 440), (1264, 440), (1264, 606), (-160, 606)])))


def table_front() -> Sprite:
    """The front edge of the table."""
    boards = planks(*CANVAS, 128, seed=8) * 0.62
    alpha = fill(CANVAS, on_canvas([(-160, 605), (1264, 605), (1264, 734), (-160, 734)]))
    return Sprite(np.roll(boards, 605 + ORIGIN[1], axis=0), alpha)


def runner() -> Sprite:
    """A cloth of stained tissue that lies across the table."""
    cloth = shrunk(load_picture("tissue"), 0.55)
    corners = [(486.0, 448.0), (640.0, 448.0), (668.0, 604.0), (470.0, 604.0)]
    return Sprite(perspective(cloth, corners), fill(CANVAS, on_canvas(corners)))


def shelf() -> Sprite:
    """A board on the wall, to the right."""
    y, x = 296 + ORIGIN[1], 912 + ORIGIN[0]
    alpha = fill(CANVAS, [(x, y), (1424, y), (1424, y + 18), (x, y + 18)])
    wood = planks(*CANVAS, 60, seed=6)
    wood[y + 12 :] *= 0.55
    return Sprite(wood, alpha)


def launch_picture() -> dict[str, Sprite]:
    """The framed photograph of the rocket on its pad: ``frame`` and ``print``."""
    photo = shrunk(np.clip(load_picture("rocket") * 1.1, 0, 1), 0.25)
    h, w = photo.shape[:2]
    border = 11
    canvas = planks(h + 2 * border, w + 2 * border, 40, seed=7) * 0.75
    canvas[border:-border, border:-border] = photo
    outer = np.ones(canvas.shape[:2], np.float32)
    inner = np.zeros_like(outer)
    inner[border:-border, border:-border] = 1
    return {"frame": padded(Sprite(canvas, outer), MARGIN), "print": padded(Sprite(canvas, inner), MARGIN)}


def formula_sheet() -> Sprite:
    """A sheet with a handwritten formula."""
    sheet = tinted(np.clip(shrunk(load_picture("text"), 0.42) * 1.25, 0, 1), PAPER)
    return padded(Sprite(sheet, np.ones(sheet.shape[:2], np.float32)), MARGIN)


def porthole_ring(radius: int, width: int) -> Sprite:
    """A wooden ring around a disc of ``radius`` pixels; same center and canvas as a cut-out of that disc."""
    size = 2 * (radius + width) + 1
    center = (size - 1) / 2
    disc = fill((size, size), ellipse(center, center, radius + width, radius + width))
    angle = np.arctan2(*(np.mgrid[:size, :size] - center))
    board = planks(2 * width, 1024, 2 * width, seed=2)
    distance = np.hypot(*(np.mgrid[:size, :size] - center)) - radius
    rows = np.clip(distance + width / 2, 0, 2 * width - 1).astype(int)
    columns = ((angle + np.pi) / (2 * np.pi) * 1023).astype(int)
    shine = 1.15 - 0.6 * np.abs(distance / width - 0.4)
    return padded(Sprite(np.clip(board[rows, columns] * shine[..., None], 0, 1).astype(np.float32), disc), MARGIN)
