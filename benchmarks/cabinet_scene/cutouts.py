"""Cut-outs of the objects. Outlines are in pixels (x, y) of their photographs."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from .pictures import load_picture, shrunk, tinted
from .shapes import Point, Sprite, bled, ellipse, fill, padded, smoothed, snapped, spline

MARGIN = 24

HEAD = [(172, 120), (160, 106), (154, 86), (155, 65), (166, 48), (184, 40), (195, 27), (215, 18), (237, 16), (262, 22)]
HEAD += [(280, 35), (294, 50), (301, 70), (302, 94), (296, 115), (285, 127), (272, 137), (266, 144), (262, 162)]
HEAD += [(255, 182), (244, 189), (225, 190), (205, 187), (188, 178), (186, 158), (183, 132)]
COLLAR = [(114, 192), (121, 177), (135, 163), (153, 153), (172, 149), (190, 149), (225, 155), (256, 173), (278, 190)]
COLLAR += [(295, 212), (304, 235), (305, 254), (298, 271), (282, 285), (255, 293), (228, 292), (198, 286), (170, 272)]
COLLAR += [(147, 256), (133, 243), (121, 218), (114, 206)]
SUIT = [(118, 205), (95, 225), (70, 245), (50, 272), (40, 302), (30, 342), (22, 390), (20, 430), (22, 470), (30, 500)]
SUIT += [(40, 540), (400, 540), (400, 420), (362, 345), (362, 330), (355, 305), (349, 282), (340, 264), (325, 249)]
SUIT += [(306, 236), (250, 200), (180, 200)]
PATCH = ellipse(171, 385.5, 37, 37.5)
HELMET = [(281, 500), (277, 470), (281, 440), (290, 412), (305, 386), (325, 366), (350, 352), (372, 346), (402, 343)]
HELMET += [(430, 346), (454, 358), (473, 379), (487, 405), (494, 432), (499, 455), (508, 465), (520, 500), (520, 540)]
HELMET += [(290, 540)]
TANK: list[Point] = [
    (411, 0),
    (416, -1),
    (421, 3),
    (428, 13),
    (434, 26),
    (437.5, 44),
    (440, 41),
    (444, 39),
    (448, 45),
    (453, 62),
]
TANK += [(454, 100), (454, 180), (455, 215), (454, 248), (459, 264), (455, 272), (471, 276), (455, 280), (428, 283)]
TANK += [(418, 283), (410, 284), (390, 289), (372, 286), (368, 279), (376, 272), (390, 268), (384, 240), (380, 190)]
TANK += [(380, 100), (381, 70), (384, 53), (388, 42), (392, 55), (396, 60), (396, 40), (398, 26), (404, 11)]
ORBITER: list[Point] = [
    (391, 79),
    (396, 76),
    (402, 80),
    (408, 95),
    (410, 110),
    (411, 178),
    (424, 179),
    (440, 193),
    (452, 208),
]
ORBITER += [(455, 220), (456, 232), (436, 236), (424, 236), (411, 236), (409, 248), (404, 250), (398, 243), (389, 243)]
ORBITER += [(380, 258), (369, 273), (367, 262), (371, 245), (378, 232), (362, 227), (354.5, 222), (357, 206)]
ORBITER += [(368, 193), (378, 182), (378.5, 120), (382, 100), (387, 90)]
FLAG = [(-40, -12), (42, -12), (49, 22), (56, 55), (61, 86), (53, 97), (42, 112), (54, 132), (69, 160), (82, 187)]
FLAG += [(93, 214), (76, 232), (58, 252), (43, 275), (34, 305), (26, 340), (19, 380), (15, 420), (10, 436), (-40, 452)]
ROCKET: list[Point] = [
    (310, 177),
    (309.8, 150),
    (311.5, 141),
    (316, 131),
    (322, 126),
    (328, 131),
    (332.5, 141),
    (334.2, 150),
]
ROCKET += [(334, 177), (331, 181), (331, 406), (312.8, 406), (313, 181)]
MAN = [(-20, 260), (0, 252), (18, 232), (35, 208), (52, 178), (66, 150), (90, 132), (130, 124), (148, 108), (163, 105)]
MAN += [(168, 92), (178, 78), (195, 68), (212, 65), (232, 69), (250, 80), (264, 98), (270, 115), (268, 130), (252, 138)]
MAN += [(255, 160), (254, 168), (247, 180), (244, 192), (243, 206), (246, 226), (248, 248), (262, 228), (265, 215)]
MAN += [(275, 206), (292, 195), (305, 188), (312, 172), (322, 167), (328, 175), (331, 190), (325, 205), (316, 225)]
MAN += [(300, 235), (298, 252), (304, 272), (286, 290), (262, 306), (246, 312), (228, 306), (206, 294), (190, 318)]
MAN += [(165, 352), (142, 382), (148, 430), (151, 470), (152, 540), (-20, 540)]
CAMERA = [(252, 143), (268, 140), (300, 141), (318, 139), (324, 140), (324, 155), (319, 157), (319, 182), (312, 183)]
CAMERA += [(290, 187), (272, 185), (262, 177), (259, 172), (260, 152), (253, 150)]
TRIPOD_HEAD: list[Point] = [
    (273, 188),
    (300, 188),
    (298, 200),
    (297, 216),
    (296.5, 250),
    (296.5, 313),
    (303, 313),
    (304, 316),
]
TRIPOD_HEAD += [
    (318, 309),
    (325, 301),
    (337, 301),
    (338, 307),
    (327, 308),
    (313, 317),
    (311, 323),
    (312, 330),
    (305, 333),
]
TRIPOD_HEAD += [
    (300, 345),
    (299, 480),
    (288, 480),
    (288, 346),
    (280, 331),
    (277, 330),
    (280, 317),
    (288, 313),
    (288, 260),
]
TRIPOD_HEAD += [(287, 250), (288, 218), (283, 208), (281, 199), (272, 199)]
TRIPOD_LEGS: list[list[Point]] = [
    [(280, 330), (289, 330), (284, 362), (270, 400), (258, 455), (247, 512), (229, 512), (240, 468), (258, 405)],
    [(305, 330), (311, 330), (352, 402), (392, 474), (410, 512), (402, 512), (380, 474), (346, 408)],
]
CAT = [(36, -30), (34, 20), (33, 60), (31, 90), (30, 108), (24, 120), (8, 126), (-40, 134), (-40, 340), (330, 340)]
CAT += [(311, 300), (309, 280), (306, 262), (308, 235), (314, 222), (330, 202), (345, 190), (354, 168), (360, 150)]
CAT += [(361, 128), (362, 112), (355, 85), (359, 72), (368, 60), (376, 45), (380, 30), (390, 12), (402, -30)]
SAUCER = [(77, 205), (81, 175), (99, 137), (122, 110), (150, 87), (178, 74), (230, 60), (290, 55), (350, 64), (398, 92)]
SAUCER += [(419, 107), (443, 130), (460, 153), (473, 185), (479, 222), (476, 262), (464, 308), (442, 346), (405, 371)]
SAUCER += [(360, 384), (305, 389), (250, 385), (195, 371), (150, 347), (110, 308), (88, 268)]
CUP = [(173, 105), (178, 85), (192, 62), (213, 40), (240, 26), (268, 19), (300, 18), (335, 25), (366, 40), (388, 60)]
CUP += [(402, 84), (407, 108), (405, 135), (397, 165), (389, 195), (377, 220), (364, 240), (345, 262), (325, 278)]
CUP += [(300, 283), (275, 284), (260, 282), (252, 284), (240, 298), (228, 306), (214, 308), (202, 304), (197, 292)]
CUP += [(198, 275), (206, 255), (215, 240), (216, 231), (200, 212), (186, 185), (177, 155), (173, 130)]
COFFEE = [(206, 140), (216, 120), (229, 106), (250, 98), (285, 95), (315, 99), (340, 110), (357, 125), (368, 145)]
COFFEE += [(368, 160), (354, 176), (330, 188), (305, 193), (275, 194), (250, 188), (230, 175), (215, 158)]
SPOON_HANDLE = [(396, 70), (408, 67), (420, 68), (424, 77), (418, 100), (411, 120), (404, 152), (395, 185), (386, 215)]
SPOON_HANDLE += [(383, 236), (373, 238), (376, 219), (386, 197), (396, 168), (404, 138), (407, 110), (403, 84)]
SPOON = [(317, 249), (324, 242), (340, 238), (358, 240), (374, 236), (383, 236), (390, 244), (398, 250)]
SPOON += [(405, 262), (406, 278), (402, 297), (390, 312), (372, 322), (355, 325), (340, 318), (330, 304), (327, 285)]
SPOON += [(328, 268), (336, 258), (322, 259)]

SILVER = [(0.0, (18, 20, 26)), (0.5, (128, 130, 136)), (0.85, (238, 238, 236)), (1.0, (255, 255, 252))]
GOLD = [(0.0, (38, 20, 4)), (0.45, (160, 108, 30)), (0.8, (248, 208, 98)), (1.0, (255, 248, 205))]
COPPER = [(0.0, (32, 12, 8)), (0.45, (152, 78, 44)), (0.8, (240, 164, 118)), (1.0, (255, 232, 212))]
VERDIGRIS = [(0.0, (8, 28, 24)), (0.45, (58, 118, 98)), (0.8, (150, 206, 176)), (1.0, (232, 250, 238))]
BRONZE = [(0.0, (24, 18, 10)), (0.45, (110, 90, 50)), (0.8, (204, 182, 124)), (1.0, (250, 240, 210))]
SEPIA = [(0.0, (14, 12, 16)), (0.5, (124, 116, 108)), (1.0, (250, 240, 222))]


def _sprites(rgb: np.ndarray, alphas: dict[str, np.ndarray], scale: float = 1.0) -> dict[str, Sprite]:
    """Return sprites of one photograph on a shared canvas, so that they move together, at ``scale`` times its size."""
    union = np.max(list(alphas.values()), axis=0)
    color = shrunk(bled(rgb, union), scale)
    resized = {name: shrunk(alpha, scale) for name, alpha in alphas.items()}
    return {name: padded(Sprite(color, alpha), MARGIN) for name, alpha in resized.items()}


def astronaut_cutouts() -> dict[str, Sprite]:
    """The astronaut in parts (``suit`` is her whole outline, the others lie on it)."""
    rgb = load_picture("astronaut")
    shape = rgb.shape[:2]
    rough = np.max([fill(shape, spline(points)) for points in (HEAD, COLLAR, SUIT, HELMET)], axis=0)
    outline = snapped(rgb, rough, band=6)
    helmet = snapped(rgb, fill(shape, spline(HELMET)), band=5, rounding=2.5)
    outline = np.maximum(outline, helmet)
    parts = {
        "suit": outline,
        "collar": np.minimum(fill(shape, spline(COLLAR)), outline),
        "head": np.minimum(snapped(rgb, fill(shape, spline(HEAD)), band=5), outline),
        "patch": fill(shape, PATCH),
        "helmet": helmet,
    }
    return _sprites(rgb, parts, scale=0.8)


def shuttle_cutouts() -> dict[str, Sprite]:
    """The shuttle model: ``tank`` is tank, boosters and stand, ``orbiter`` lies on it."""
    rgb = load_picture("astronaut")[:300, 340:490]
    moved = {name: np.asarray(points) - (340, 0) for name, points in (("tank", TANK), ("orbiter", ORBITER))}
    shape = rgb.shape[:2]
    orbiter = smoothed(fill(shape, spline(moved["orbiter"])), 0.8, shrink=0.3)
    tank = np.maximum(smoothed(fill(shape, spline(moved["tank"])), 0.8, shrink=0.3), orbiter)
    return _sprites(rgb, {"tank": tank, "orbiter": orbiter}, scale=0.6)


def flag_cutout() -> Sprite:
    """The visible part of the flag that stands behind the astronaut."""
    rgb = load_picture("astronaut")[:448, :104]
    return _sprites(rgb, {"flag": smoothed(fill(rgb.shape[:2], spline(FLAG)), 1.0, shrink=1.5)}, scale=0.85)["flag"]


def rocket_cutout() -> Sprite:
    """The Falcon 9 without its launch mount, brightened."""
    rgb = load_picture("rocket")[110:420, 290:356]
    alpha = smoothed(fill(rgb.shape[:2], np.asarray(ROCKET) - (290, 110)), 0.8, shrink=0.2)
    bright = np.clip(rgb**0.7 * 1.1, 0, 1)
    return _sprites(bright, {"rocket": alpha}, scale=1.2)["rocket"]


def cameraman_cutouts() -> dict[str, Sprite]:
    """The man with his video camera and its tripod."""
    gray = load_picture("camera")
    shape = gray.shape[:2]
    tripod = np.max([fill(shape, points) for points in (TRIPOD_HEAD, *TRIPOD_LEGS)], axis=0)
    camera = smoothed(fill(shape, CAMERA), 1.0, shrink=0.3)
    man = snapped(gray, fill(shape, spline(MAN)), band=5)
    return _sprites(tinted(gray, SEPIA), {"man": man, "tripod": tripod, "camera": camera}, scale=0.7)


def cat_cutouts(radius: int) -> dict[str, Sprite]:
    """A round portrait of Chelsea, ``radius`` pixels: ``backdrop`` is the whole disc, ``cat`` lies on it."""
    rgb = load_picture("chelsea")
    shape = rgb.shape[:2]
    cat = snapped(rgb, fill(shape, spline(CAT)), band=4, rounding=3.0)
    box = (slice(0, 300), slice(94, 394))
    disc = fill((300, 300), ellipse(149.5, 149.5, 148, 148))
    return _sprites(rgb[box], {"backdrop": disc, "cat": np.minimum(cat[box], disc)}, scale=radius / 148)


def coffee_cutouts() -> dict[str, Sprite]:
    """Saucer, cup, the coffee in it, and the spoon."""
    rgb = load_picture("coffee")
    shape = rgb.shape[:2]
    cup = smoothed(fill(shape, spline(CUP)), 1.5, shrink=0.3)
    spoon = np.maximum(fill(shape, spline(SPOON)), fill(shape, spline(SPOON_HANDLE)))
    parts = {
        "saucer": smoothed(fill(shape, spline(SAUCER)), 1.0),
        "cup": cup,
        "coffee": smoothed(fill(shape, spline(COFFEE)), 1.0, shrink=0.0),
        "spoon": smoothed(spoon, 1.0, shrink=0.0),
    }
    return _sprites(rgb, parts, scale=0.6)


def planet_cutout(radius: int) -> Sprite:
    """The retina as a planet, with the shading of a sphere."""
    rgb = load_picture("retina")
    alpha = fill(rgb.shape[:2], ellipse(703, 703, 688, 688))
    y, x = np.mgrid[-1:1:1411j, -1:1:1411j].astype(np.float32)
    depth = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
    shade = np.clip(0.25 + 0.95 * (0.55 * depth - 0.55 * x - 0.35 * y), 0.3, 1.15)
    return _sprites(np.clip(rgb * shade[..., None], 0, 1), {"planet": alpha}, scale=radius / 688)["planet"]


@cache
def coin_outlines() -> list[tuple[tuple[int, int, int, int], np.ndarray]]:
    """Box (left, top, right, bottom) and alpha of every coin in reading order, in the picture enlarged twice."""
    gray = cv2.resize(load_picture("coins").mean(axis=2), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    ground = cv2.morphologyEx(cv2.GaussianBlur(gray, (0, 0), 3), cv2.MORPH_OPEN, np.ones((141, 141), np.uint8))
    ground = cv2.GaussianBlur(ground, (0, 0), 40)
    solid = ((cv2.GaussianBlur(gray, (0, 0), 2) - ground) > 0.16).astype(np.uint8)
    solid = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = [c for c in contours if 3000 < cv2.contourArea(c) < 20000 and cv2.boundingRect(c)[3] > 50]
    found.sort(key=lambda c: (round((cv2.boundingRect(c)[1] + cv2.boundingRect(c)[3] / 2) / 150), c[:, 0, 0].mean()))
    outlines = []
    for contour in found:
        x, y, w, h = cv2.boundingRect(contour)
        box = (x - 12, y - 12, x + w + 12, y + h + 12)
        curve = _few_harmonics(contour[:, 0].astype(np.float64) - box[:2], 9)
        alpha = smoothed(fill((box[3] - box[1], box[2] - box[0]), curve), 1.0, shrink=0.8, feather=1.0)
        outlines.append((box, alpha))
    return outlines


def _few_harmonics(contour: np.ndarray, harmonics: int) -> np.ndarray:
    """Smooth a closed contour (points x, y) by keeping only its lowest Fourier descriptors."""
    spectrum = np.fft.fft(contour[:, 0] + 1j * contour[:, 1])
    spectrum[harmonics + 1 : -harmonics] = 0
    curve = np.fft.ifft(spectrum)
    return np.stack([curve.real, curve.imag], axis=1)


def coin_cutout(index: int, stops: list[tuple[float, tuple[int, int, int]]], diameter: float) -> Sprite:
    """Coin ``index`` of the photograph (0 to 23, in reading order), tinted by ``stops``."""
    (left, top, right, bottom), alpha = coin_outlines()[index]
    big = cv2.resize(load_picture("coins"), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    gray = np.pad(big, ((24, 24), (24, 24), (0, 0)), mode="edge")[top + 24 : bottom + 24, left + 24 : right + 24]
    low, high = np.percentile(gray[alpha > 0.9], (2, 98))
    levels = np.clip((gray - low) / (high - low), 0, 1) * 0.85 + 0.1
    scale = diameter / (2 * np.sqrt(alpha.sum() / np.pi))
    return _sprites(tinted(levels, stops), {"coin": alpha}, scale=float(scale))["coin"]
