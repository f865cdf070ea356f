"""Triangle meshes with texture coordinates: read, generated and written as OBJ files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Mesh:
    """A triangle mesh.

    Attributes:
        points: [V, 3] positions.
        uv: [U, 2] texture coordinates.
        faces: [F, 3] indices into ``points``.
        face_uv: [F, 3] indices into ``uv``.
    """

    points: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    face_uv: np.ndarray


def read_obj(path: Path) -> Mesh:
    """Read the geometry of an OBJ file, splitting polygons into triangles and adding missing texture coordinates."""
    points: list[list[str]] = []
    uv: list[list[str]] = []
    corners: list[list[int]] = []
    corners_uv: list[list[int]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            points.append(rest.split()[:3])
        elif kind == "vt":
            uv.append(rest.split()[:2])
        elif kind == "f":
            parts = [corner.split("/") for corner in rest.split()]
            own = [_row(part[0], len(points)) for part in parts]
            own_uv = [_row(part[1], len(uv)) if len(part) > 1 and part[1] else 0 for part in parts]
            for k in range(1, len(own) - 1):
                corners.append([own[0], own[k], own[k + 1]])
                corners_uv.append([own_uv[0], own_uv[k], own_uv[k + 1]])
    positions, faces = np.array(points, float), np.array(corners, np.int64)
    if uv:
        return Mesh(positions, np.array(uv, float), faces, np.array(corners_uv, np.int64))
    return with_box_uv(positions, faces)


def _row(number: str, count: int) -> int:
    value = int(number)
    return value - 1 if value > 0 else count + value


def with_box_uv(points: np.ndarray, faces: np.ndarray) -> Mesh:
    """Give a mesh texture coordinates by projecting each face along the axis that it faces most."""
    low, span = points.min(0), np.ptp(points, axis=0).max()
    unit = (points - low) / max(span, 1e-9)
    corners = unit[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    axis = np.abs(normals).argmax(1)
    kept = np.array(((1, 2), (0, 2), (0, 1)))[axis]
    uv = np.take_along_axis(corners, kept[:, None, :], axis=2).reshape(-1, 2)
    return Mesh(points, uv, faces, np.arange(len(uv)).reshape(-1, 3))


def normalized(mesh: Mesh) -> Mesh:
    """Center a mesh's bounding box at the origin, and scale its largest extent to 1."""
    low, high = mesh.points.min(0), mesh.points.max(0)
    return Mesh((mesh.points - (low + high) / 2) / max((high - low).max(), 1e-9), mesh.uv, mesh.faces, mesh.face_uv)


def write_obj(path: Path, mesh: Mesh) -> None:
    """Write a mesh with normals that are smooth across flat edges."""
    corners = mesh.points[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    smooth = np.zeros_like(mesh.points)
    for k in range(3):
        np.add.at(smooth, mesh.faces[:, k], normals)
    smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-12)
    flat = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    own = smooth[mesh.faces]  # [F, 3, 3]
    sharp = (own * flat[:, None]).sum(2) < 0.7
    own[sharp] = np.repeat(flat[:, None], 3, axis=1)[sharp]
    lines = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in mesh.points]
    lines += [f"vt {u:.5f} {v:.5f}" for u, v in mesh.uv]
    lines += [f"vn {x:.3f} {y:.3f} {z:.3f}" for x, y, z in own.reshape(-1, 3)]
    rows = np.stack((mesh.faces, mesh.face_uv, np.arange(mesh.faces.size).reshape(-1, 3)), axis=2) + 1
    lines += ["f " + " ".join(f"{a}/{b}/{c}" for a, b, c in face) for face in rows.tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def lathe(profile: np.ndarray, sides: int = 32) -> Mesh:
    """Turn a profile about the z axis.

    Args:
        profile: [N, 2] radius and height, from the bottom up on the outside (and down again on the inside of a cup).
        sides: number of faces around the axis.
    """
    around = np.linspace(0, 2 * np.pi, sides + 1)
    radius, height = profile.T
    x, y = np.outer(radius, np.cos(around)), np.outer(radius, np.sin(around))
    points = np.stack((x, y, np.repeat(height[:, None], sides + 1, 1)), axis=2)
    length = np.concatenate(([0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))))
    grid_uv = np.stack(np.meshgrid(around / (2 * np.pi), length / max(length[-1], 1e-9)), axis=2)
    return _grid(points, grid_uv)


def torus(thickness: float, rings: int = 40, sides: int = 14) -> Mesh:
    """Return a ring of outer radius about 0.5; ``thickness`` is the radius of its tube."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, sides + 1), np.linspace(0, 2 * np.pi, rings + 1))
    radius = 0.5 - thickness + thickness * np.cos(u)
    points = np.stack((radius * np.cos(v), radius * np.sin(v), thickness * np.sin(u)), axis=2)
    return _grid(points, np.stack((v, u), axis=2) / (2 * np.pi))


def box(size: tuple[float, float, float]) -> Mesh:
    """Return a box centered at the origin."""
    points = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]) * size
    quads = np.array(((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)))
    faces = np.concatenate((quads[:, (0, 1, 2)], quads[:, (0, 2, 3)]))
    uv = np.array(((0, 0), (1, 0), (1, 1), (0, 1)), float)
    face_uv = np.concatenate((np.tile((0, 1, 2), (6, 1)), np.tile((0, 2, 3), (6, 1))))
    return Mesh(points, uv, faces, face_uv)


def _grid(points: np.ndarray, uv: np.ndarray) -> Mesh:
    """Connect a grid of points [N, M, 3] with triangles."""
    rows, columns = points.shape[:2]
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = number[:-1, :-1].ravel(), number[:-1, 1:].ravel(), number[1:, 1:].ravel(), number[1:, :-1].ravel()
    faces = np.concatenate((np.stack((a, b, c), 1), np.stack((a, c, d), 1)))
    return Mesh(points.reshape(-1, 3), uv.reshape(-1, 2), faces, faces)
