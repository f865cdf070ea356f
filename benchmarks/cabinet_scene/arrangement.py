"""Objects of the scene and their motion, from the far sky to the coins in front of the lens."""

from __future__ import annotations

from . import cutouts, surfaces
from .cutouts import BRONZE, COPPER, GOLD, MARGIN, SILVER, VERDIGRIS
from .motion import Pose, Track, track
from .render import Layer
from .shapes import Sprite

Metal = list[tuple[float, tuple[int, int, int]]]

SKY, SPACE, HILL, LAWN, WALL, HUNG, ROOM, TABLE, AIR = 0.25, 0.35, 0.55, 0.6, 0.8, 0.83, 0.9, 1.0, 1.15
ON_WALL, STANDING, LYING = (4.0, 6.0, 6.0, 0.5), (-12.0, 5.0, 10.0, 0.4), (1.0, 4.0, 4.0, 0.5)


def scene() -> list[Layer]:
    """Return all layers, far to near."""
    return [*_outdoors(), *_wall(), *_guests(), *_table(), *_air()]


def _center(sprite: Sprite) -> tuple[float, float]:
    height, width = sprite.alpha.shape
    return ((width - 1) / 2, (height - 1) / 2)


def _surface(name: str, sprite: Sprite, depth: float, shadow: tuple[float, float, float, float] | None = None) -> Layer:
    """Return a part of the canvas, which moves only with the camera."""
    return Layer(name=name, sprite=sprite, track=track(Pose()), anchor=surfaces.ORIGIN, depth=depth, shadow=shadow)


def _group(
    names: dict[str, str],
    sprites: dict[str, Sprite],
    motion: Track,
    anchor: tuple[float, float],
    depth: float,
    shadow: tuple[float, float, float, float] | None = None,
) -> list[Layer]:
    """Return the parts of one object, in the order of ``names`` (sprite -> name). The first casts the shadow of all."""
    layers = []
    for number, (key, name) in enumerate(names.items()):
        cast = shadow if number == 0 else None
        layers.append(Layer(name=name, sprite=sprites[key], track=motion, anchor=anchor, depth=depth, shadow=cast))
    return layers


def _coin(
    name: str,
    coin: tuple[int, Metal, float],
    motion: Track,
    depth: float,
    shadow: tuple[float, float, float, float] | None = None,
) -> Layer:
    """One coin: its number in the photograph, its metal and its diameter in pixels."""
    sprite = cutouts.coin_cutout(*coin)
    return Layer(name=name, sprite=sprite, track=motion, anchor=_center(sprite), depth=depth, shadow=shadow)


def _outdoors() -> list[Layer]:
    """The view through the windows. Planet and rocket pass behind the pillar between them."""
    planet, rocket = cutouts.planet_cutout(46), cutouts.rocket_cutout()
    man = cutouts.cameraman_cutouts()
    pan = track(
        Pose(62, 412, 0.84), Pose(58, 412, 0.85, turn=-1.5, lean=0.03), Pose(66, 413, 0.87, turn=1.5, lean=-0.02)
    )
    return [
        _surface("night sky", surfaces.sky(), SKY),
        _coin(
            "moon coin",
            (15, SILVER, 36),
            track(
                Pose(216, 94, yaw=10),
                Pose(300, 112, turn=60, yaw=-30),
                Pose(396, 142, turn=140),
                Pose(560, 190, turn=240),
            ),
            SPACE,
        ),
        Layer(
            name="planet",
            sprite=planet,
            track=track(Pose(292, 118), Pose(400, 120, turn=14), Pose(572, 150, 1.06, turn=30), times=(0, 0.42, 1)),
            anchor=_center(planet),
            depth=SPACE,
        ),
        _coin(
            "comet coin",
            (9, GOLD, 40),
            track(Pose(524, 118, yaw=-30), Pose(560, 200, turn=120, yaw=20), Pose(648, 262, turn=300, yaw=-20)),
            SPACE,
        ),
        Layer(
            name="rocket",
            sprite=rocket,
            track=track(
                Pose(634, 282, 0.72, turn=-4),
                Pose(440, 236, 0.76, turn=-7),
                Pose(262, 168, 0.8, turn=-12),
            ),
            anchor=_center(rocket),
            depth=SPACE,
        ),
        _surface("grass hill", surfaces.meadow(), HILL),
        _surface("gravel path", surfaces.path(), HILL),
        *_group(
            {"man": "cameraman", "tripod": "tripod", "camera": "video camera"},
            man,
            pan,
            (MARGIN + 12, MARGIN + 0.7 * 500),
            LAWN,
            (5, 2, 6, 0.35),
        ),
    ]


def _wall() -> list[Layer]:
    """The wall and the objects on it; one coin rolls behind the portrait of the cat."""
    flag, sheet = cutouts.flag_cutout(), surfaces.formula_sheet()
    picture = surfaces.launch_picture()
    cat, ring = cutouts.cat_cutouts(78), surfaces.porthole_ring(78, 13)
    swing = track(
        Pose(424, 214, turn=5),
        Pose(412, 215, turn=-5),
        Pose(425, 214, turn=5),
        Pose(413, 215, turn=-4),
        Pose(420, 216),
    )
    wave = track(Pose(2, 40, lean=0.02), Pose(2, 40, lean=0.12), Pose(2, 40, lean=-0.02), Pose(2, 40, lean=0.1))
    tilt = track(Pose(1006, 92, turn=-2), Pose(1004, 92, turn=1.5), Pose(1006, 92, turn=-1), Pose(1005, 92, turn=0.5))
    flutter = track(
        Pose(806, 60, turn=-4, yaw=0),
        Pose(802, 58, turn=2, yaw=22),
        Pose(808, 60, turn=-1, yaw=-18),
        Pose(804, 58, turn=3),
    )
    shuttle = cutouts.shuttle_cutouts()
    lift = track(
        Pose(976, 299, 0.8),
        Pose(977, 297, 0.8, turn=-1),
        Pose(984, 272, 0.82, turn=3),
        Pose(1004, 222, 0.85, turn=8),
        times=(0, 0.3, 0.65, 1),
    )
    return [
        _surface("brick wall", surfaces.wall(), WALL, (-8, 8, 8, 0.5)),
        _surface("left window frame", surfaces.window_frame("left"), WALL, (3, 4, 4, 0.5)),
        _surface("right window frame", surfaces.window_frame("right"), WALL, (3, 4, 4, 0.5)),
        Layer(name="flag", sprite=flag, track=wave, anchor=(MARGIN, MARGIN), depth=HUNG, shadow=ON_WALL),
        _coin(
            "hiding coin",
            (14, BRONZE, 62),
            track(Pose(306, 262), Pose(418, 232, turn=200), Pose(424, 214, turn=240), Pose(540, 180, turn=420)),
            HUNG,
            ON_WALL,
        ),
        Layer(name="porthole ring", sprite=ring, track=swing, anchor=_center(ring), depth=HUNG, shadow=ON_WALL),
        *_group({"backdrop": "cat backdrop", "cat": "cat"}, cat, swing, _center(cat["cat"]), HUNG),
        *_group(
            {"frame": "picture frame", "print": "launch picture"},
            picture,
            tilt,
            _center(picture["frame"]),
            HUNG,
            ON_WALL,
        ),
        Layer(name="formula sheet", sprite=sheet, track=flutter, anchor=_center(sheet), depth=HUNG, shadow=ON_WALL),
        _surface("shelf", surfaces.shelf(), HUNG, ON_WALL),
        _coin(
            "shelf coin, copper",
            (12, COPPER, 56),
            track(Pose(1070, 268), Pose(1000, 268, turn=-150), Pose(946, 268, turn=-250), Pose(1010, 268, turn=-110)),
            HUNG,
            STANDING,
        ),
        *_group(
            {"tank": "fuel tank and boosters", "orbiter": "shuttle orbiter"},
            shuttle,
            lift,
            (MARGIN + 0.6 * 74, MARGIN + 0.6 * 284),
            ROOM,
            STANDING,
        ),
        _coin(
            "shelf coin, silver",
            (23, SILVER, 46),
            track(Pose(1044, 273), Pose(1076, 273, turn=80), Pose(1052, 273, turn=20), Pose(1020, 273, turn=-60)),
            ROOM,
            STANDING,
        ),
    ]


def _guests() -> list[Layer]:
    """The astronaut at the table, and a coin that flies behind her head."""
    astronaut = cutouts.astronaut_cutouts()
    sway = track(
        Pose(846, 444, 0.94),
        Pose(838, 442, 0.95, turn=-2, lean=0.02),
        Pose(852, 446, 0.95, turn=1.5, lean=-0.03),
        Pose(840, 443, 0.97, turn=-1),
    )
    names = {"suit": "space suit", "collar": "suit collar", "head": "astronaut head"}
    names |= {"patch": "mission patch", "helmet": "helmet"}
    return [
        _coin(
            "coin behind the head",
            (11, GOLD, 56),
            track(Pose(728, 236), Pose(800, 176, turn=100, yaw=20), Pose(860, 160, turn=180), Pose(958, 250, turn=330)),
            ROOM,
            ON_WALL,
        ),
        *_group(names, astronaut, sway, (MARGIN + 0.8 * 265, MARGIN + 0.8 * 450), ROOM, STANDING),
    ]


def _table() -> list[Layer]:
    """The table, the cup, and coins that slide over the table in front of the cup and behind it."""
    coffee = cutouts.coffee_cutouts()
    slide = track(
        Pose(236, 526, 0.88), Pose(262, 527, 0.89, turn=2), Pose(300, 530, 0.91, turn=-2), Pose(286, 532, 0.92)
    )
    names = {"saucer": "saucer", "cup": "cup", "coffee": "coffee", "spoon": "spoon"}
    return [
        _surface("table top", surfaces.table_top(), TABLE, (0, -6, 8, 0.5)),
        _surface("table front", surfaces.table_front(), TABLE),
        _surface("table runner", surfaces.runner(), TABLE, (0, 1, 3, 0.35)),
        _coin(
            "table coin behind the cup",
            (3, GOLD, 66),
            track(Pose(92, 474, flat=0.55), Pose(250, 470, turn=60, flat=0.55), Pose(452, 474, turn=150, flat=0.55)),
            TABLE,
            LYING,
        ),
        _coin(
            "table coin on the runner",
            (18, VERDIGRIS, 64),
            track(Pose(560, 488, flat=0.56), Pose(572, 492, turn=-50, flat=0.56), Pose(548, 486, turn=-140, flat=0.56)),
            TABLE,
            LYING,
        ),
        _coin(
            "table coin at the right",
            (22, COPPER, 70),
            track(
                Pose(1030, 486, flat=0.56), Pose(930, 494, turn=-70, flat=0.56), Pose(760, 500, turn=-190, flat=0.56)
            ),
            TABLE,
            LYING,
        ),
        _coin(
            "table coin in the middle",
            (17, BRONZE, 84),
            track(Pose(742, 516, flat=0.58), Pose(800, 524, turn=50, flat=0.58), Pose(890, 540, turn=130, flat=0.58)),
            TABLE,
            LYING,
        ),
        *_group(names, coffee, slide, (MARGIN + 0.6 * 278, MARGIN + 0.6 * 222), TABLE, (-6, 8, 8, 0.55)),
        _coin(
            "table coin before the saucer",
            (10, SILVER, 84),
            track(Pose(440, 572, flat=0.6), Pose(290, 584, turn=-100, flat=0.6), Pose(70, 576, turn=-230, flat=0.6)),
            TABLE,
            LYING,
        ),
        _coin(
            "table coin at the edge",
            (0, COPPER, 86),
            track(Pose(930, 574, flat=0.62), Pose(820, 570, turn=-60, flat=0.62), Pose(640, 578, turn=-170, flat=0.62)),
            TABLE,
            LYING,
        ),
    ]


def _air() -> list[Layer]:
    """Coins tossed through the room: one leaves the frame at the top and falls back, one comes toward the lens."""
    return [
        _coin(
            "juggled coin",
            (6, GOLD, 62),
            track(
                Pose(660, 404, yaw=20),
                Pose(712, 250, turn=50, yaw=-30),
                Pose(800, 250, turn=100, yaw=30),
                Pose(930, 420, 1.1, turn=170, yaw=-20),
            ),
            AIR,
        ),
        _coin(
            "tossed coin",
            (19, VERDIGRIS, 60),
            track(
                Pose(586, 130, yaw=-20),
                Pose(600, -30, turn=60, yaw=30),
                Pose(622, -70, turn=110, yaw=10),
                Pose(650, 20, turn=170, yaw=-30),
                Pose(676, 250, turn=240),
            ),
            AIR,
        ),
        _coin(
            "falling coin",
            (20, BRONZE, 58),
            track(
                Pose(396, 360, yaw=-30),
                Pose(372, 330, turn=-40, yaw=20),
                Pose(330, 352, turn=-90, yaw=35),
                Pose(250, 520, turn=-170),
            ),
            AIR,
        ),
        _coin(
            "near coin",
            (5, SILVER, 84),
            track(
                Pose(52, 424, 0.9, yaw=-20),
                Pose(190, 330, 1.0, turn=20, yaw=20),
                Pose(470, 290, 1.15, turn=45, yaw=-20),
                Pose(760, 352, 1.35, turn=80, yaw=25),
            ),
            AIR,
        ),
    ]
