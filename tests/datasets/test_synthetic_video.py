"""Generated training video: what the programs write is read by training, exact, and the same at every run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from programs import run_program

sys.path.insert(0, str(Path(__file__).parents[2] / "datasets" / "Synthetic"))

from synthesis.arrangement import Swap, draw_spots, draw_swaps, spot_at
from synthesis.motion import Path as Curve

SYNTHETIC = Path(__file__).parents[2] / "datasets" / "Synthetic"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with ids, and animated figures."""
    root, rng = tmp_path_factory.mktemp("sources"), np.random.default_rng(0)
    for folder in ("photographs/JPEGImages/set", "photographs/Annotations/set", "figures"):
        (root / folder).mkdir(parents=True)
    for number in range(3):
        noise = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).resize((320, 240))
        noise.save(root / f"photographs/JPEGImages/set/{number}.jpg")
        mask = np.zeros((240, 320), np.uint8)
        mask[60:180, 80:240] = 1
        Image.fromarray(mask).save(root / f"photographs/Annotations/set/{number}.png")
    for name, color in (("1f600", (250, 200, 0)), ("1f44b-1f3fb", (250, 220, 180)), ("1f44b-1f3ff", (90, 60, 40))):
        frames = []
        for step in range(4):
            image = np.zeros((64, 64, 4), np.uint8)
            image[8 + step : 50 + step, 10:54] = (*color, 255)
            frames.append(Image.fromarray(image))
        frames[0].save(root / f"figures/{name}.webp", save_all=True, append_images=frames[1:], lossless=True)
    return root


def make(program: str, sources: Path, output: Path, *options: str) -> None:
    command = [sys.executable, str(SYNTHETIC / program), "--photographs", str(sources / "photographs"), *options]
    done = run_program([*command, "--output", str(output), "--frames", "3", "4"])
    assert done.returncode == 0, done.stderr


def files(output: Path) -> dict[str, bytes]:
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(output.rglob("*")) if path.is_file()}


def check_clips(output: Path, name: str, count: int) -> None:
    """Each clip has frames and palette masks of one size, and ids that begin at 1."""
    folders = sorted((output / "Annotations").iterdir())
    assert len(folders) == count
    for folder in folders:
        masks = sorted(folder.glob("*.png"))
        frames = sorted((output / "JPEGImages" / folder.name).glob("*.jpg"))
        assert [path.stem for path in masks] == [path.stem for path in frames]
        assert 3 <= len(masks) <= 4
        sizes = {Image.open(path).size for path in (*masks, *frames)}
        assert len(sizes) == 1
        assert all(Image.open(path).mode == "P" for path in masks)
        assert max(int(np.array(Image.open(path)).max()) for path in masks) >= 1
    assert (output / f"{name}.json").is_file()


def test_composed_clips_are_the_same_in_every_run_however_the_work_is_divided(sources: Path, tmp_path: Path) -> None:
    options = ("--figures", str(sources / "figures"), "--seed", "5")
    make("make_cutouts.py", sources, tmp_path / "whole", *options, "--clips", "4")
    make("make_cutouts.py", sources, tmp_path / "parts", *options, "--clips", "2", "--first", "2")
    make("make_cutouts.py", sources, tmp_path / "parts", *options, "--clips", "4")
    check_clips(tmp_path / "whole", "cutouts", 4)
    assert files(tmp_path / "whole") == files(tmp_path / "parts")


def test_a_dataset_is_opened_by_its_description(sources: Path, tmp_path: Path) -> None:
    from voskit.dataloaders.datasets import open_dataset

    make("make_cutouts.py", sources, tmp_path, "--figures", str(sources / "figures"), "--clips", "2")
    dataset = open_dataset(tmp_path / "cutouts.json")
    assert [len(video.frame_names) in (3, 4) for video in dataset] == [True, True]
    for video in dataset:
        first = video.mask(video.frame_names[0])
        assert first is not None
        assert video.mask(video.frame_names[1]) is None, "only the first mask is given, the others are the truth"


@pytest.mark.skipif(importlib.util.find_spec("pybullet") is None, reason="pybullet is not installed")
def test_rendered_clips_are_the_same_in_every_run(sources: Path, tmp_path: Path) -> None:
    for name in ("once", "twice"):
        make("make_rendered.py", sources, tmp_path / name, "--clips", "3", "--seed", "2")
    check_clips(tmp_path / "once", "rendered", 3)
    assert files(tmp_path / "once") == files(tmp_path / "twice")


def test_a_curve_passes_through_its_points_and_is_straight_beyond_them() -> None:
    curve = Curve(np.array(((0, 0), (1, 2), (4, 0))))
    assert np.allclose([curve(t) for t in (0, 0.5, 1)], ((0, 0), (1, 2), (4, 0)))
    assert np.allclose(curve(1.25) - curve(1), curve(1.5) - curve(1.25))


def test_objects_have_traded_places_after_a_swap_and_kept_apart_on_the_way() -> None:
    spots, swap = np.array(((0.0, 0.0), (1.0, 0.0), (2.0, 0.0))), Swap(0.2, 0.6, 0, 1, bulge=0.4, lift=0.1)
    places = np.array([[spot_at(t, place, spots, [swap])[0] for place in range(3)] for t in np.linspace(0, 1, 21)])
    assert np.allclose(places[0], spots)
    assert np.allclose(places[-1], spots[[1, 0, 2]])
    assert np.linalg.norm(places[:, 0] - places[:, 1], axis=1).min() > 0.7
    assert spot_at(0.4, 0, spots, [swap])[1] == pytest.approx(0.1)


def test_any_number_of_swaps_leaves_one_object_at_each_place() -> None:
    rng = np.random.default_rng(1)
    for count in range(2, 6):
        spots, swaps = draw_spots(rng, count, 0.2), draw_swaps(rng, count, frames=60)
        end = np.array([spot_at(2.0, place, spots, swaps)[0] for place in range(count)])
        assert np.allclose(np.sort(end, axis=0), np.sort(spots, axis=0))
