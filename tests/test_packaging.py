"""Packaging: the wheel, the sdist and an editable install, each used from a folder with packages of the user's own.

The folder holds ``configs/`` (YAML files only, as with Hydra), ``tools/``, ``networks/`` and ``datasets/``: names that
the rooms of the repository have, too.
"""

from __future__ import annotations

import io
import re
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from thorough import mark_thorough

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("configs", "networks", "dataloaders", "trainers", "evaluators", "tools")
SHIPPED_DATA = (
    "voskit/datasets/Demo/images/bunny.mp4",
    "voskit/datasets/Demo/images/cabinet/00000.jpg",
    "voskit/datasets/Demo/masks/cabinet/00000.png",
    "voskit/datasets/Probe/make_probe.py",
    "voskit/datasets/Probe/scenes/kinds.py",
    "voskit/datasets/Synthetic/synthesis/compositing.py",
    "voskit/pretrain_models/deaott_open.safetensors",
    "voskit/pretrain_models/roberta-base/merges.txt",
    "voskit/pretrain_models/roberta-base/vocab.json",
)
DOWNLOADS = ("pretrain_models/XMem.pth", "pretrain_models/deaott.safetensors", "datasets/DAVIS/images/a/00000.jpg")

SEGMENT = """
import sys

from networks.managers import OWN
import datasets, tools
import voskit
assert set(voskit.__all__) <= set(dir(voskit))
early = {"torch", "numpy", "cv2", "timm", "scipy", "tyro"} & {name.partition(".")[0] for name in sys.modules}
assert not early, early
assert OWN and tools.OWN and datasets.OWN and voskit.__version__
for name in voskit.__all__:
    assert getattr(voskit, name) is not None, name

from importlib import resources
import numpy as np
from voskit import VideoSegmenter, build_model
model = build_model("deaott", checkpoint=resources.files("voskit.pretrain_models") / "deaott_open.safetensors")
segmenter = VideoSegmenter(model)
frames, mask = np.load("frames.npy"), np.load("mask.npy")
assert (segmenter.step(frames[0], mask=mask) == mask).all()
ids = segmenter.step(frames[1])
assert set(np.unique(ids)) == {0, 3, 7}, np.unique(ids)
assert (ids == mask).mean() > 0.9

from voskit.dataloaders.tokenizer import Tokenizer
assert Tokenizer()(["the boy"]).tolist() == [[0, 627, 2143, 2]]

from voskit.evaluators.clips.sources import BUNDLED_SCENES
assert len(list(BUNDLED_SCENES.glob("images/*/*.jpg"))) == 40
print(voskit.__file__)

from voskit.__main__ import main
sys.argv = "voskit demo --max_frames 3 --device cpu --data_path clip --mask first.png --output_path out".split()
sys.exit(main())
"""


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that git tracks, and files that a user downloaded into it."""
    folder = tmp_path_factory.mktemp("checkout")
    git = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if git.returncode != 0:
        pytest.skip("the files of the project are known from git only")
    for name in filter(None, git.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for name in DOWNLOADS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"downloaded")
    return folder


@pytest.fixture(scope="session")
def archives(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Paths of the sdist and of the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, checkout)
    return {"wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


@dataclass(frozen=True)
class Environment:
    """A virtual environment with one install of voskit, and a user's folder to run programs in."""

    python: Path
    folder: Path

    def run(self, *command: str | Path) -> str:
        return run(*command, cwd=self.folder)


@pytest.fixture(scope="session", params=mark_thorough(["wheel", "sdist", "editable"], ["sdist", "editable"]))
def installed(
    request: pytest.FixtureRequest,
    archives: dict[str, Path],
    checkout: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Environment:
    folder = tmp_path_factory.mktemp(request.param)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    purelib = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # paths in a .pth file are not searched for further .pth files, so an editable voskit there stays out
    (purelib / "outer.pth").write_text("\n".join(site.getsitepackages()))
    what = ["--editable", checkout] if request.param == "editable" else [archives[request.param]]
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-build-isolation"]
    run(*pip, "--ignore-installed", "--no-index", *what)
    return Environment(python, users_folder(folder / "work"))


def users_folder(folder: Path) -> Path:
    """A folder of someone who has packages with the names of rooms, and a small clip."""
    for name in ("networks", "tools", "datasets"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("OWN = True")
    (folder / "networks" / "managers.py").write_text("OWN = True")
    (folder / "configs").mkdir()
    (folder / "configs" / "default.yaml").write_text("lr: 0.1")
    frames, mask = two_moving_squares(4)
    np.save(folder / "frames.npy", frames)
    np.save(folder / "mask.npy", mask)
    (folder / "clip").mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / "clip" / f"{index:05d}.png")
    Image.fromarray(mask.astype(np.uint8)).save(folder / "first.png")
    return folder


def two_moving_squares(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames, [T, H, W, 3] uint8, of a red square (id 3) and a blue one (id 7) that move, and their first mask."""
    y, x = np.mgrid[:96, :128].astype(np.uint8)
    frames = np.repeat(np.stack([x, np.full_like(x, 128), y], axis=-1)[None], count, axis=0)
    mask = np.zeros(x.shape, np.int64)
    mask[20:50, 10:40], mask[50:85, 80:115] = 3, 7
    for t, frame in enumerate(frames):
        frame[20:50, 10 + 2 * t : 40 + 2 * t] = (250, 30, 30)
        frame[50:85, 80 - 2 * t : 115 - 2 * t] = (30, 30, 250)
    return frames, mask


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def members(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if not name.endswith("/")]


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parse(io.TextIOWrapper(archive.open(name), encoding="utf-8"))


def test_the_wheel_has_one_top_level_name(archives: dict[str, Path]) -> None:
    tops = {name.partition("/")[0] for name in members(archives["wheel"])}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"voskit"}


def test_the_wheel_holds_every_module_and_data_file_of_the_rooms(archives: dict[str, Path], checkout: Path) -> None:
    sources = [p for room in ROOMS for p in (checkout / room).rglob("*") if p.is_file()]
    expected = {f"voskit/{path.relative_to(checkout).as_posix()}" for path in sources}
    expected |= {path.relative_to(checkout).as_posix() for path in (checkout / "voskit").rglob("*") if path.is_file()}
    assert len(expected) > 200
    assert expected | set(SHIPPED_DATA) <= set(members(archives["wheel"]))


def test_the_wheel_holds_no_downloads(archives: dict[str, Path]) -> None:
    assert not {f"voskit/{name}" for name in DOWNLOADS} & set(members(archives["wheel"]))


def test_the_index_accepts_both_archives(archives: dict[str, Path]) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *archives.values())


def test_the_page_of_the_index_has_no_links_into_the_repository(archives: dict[str, Path]) -> None:
    page = str(metadata(archives["wheel"]).get_payload())
    assert page.startswith("# ")
    targets = re.findall(r'(?:\bhref|\bsrc)="([^"]*)"|\]\(([^)]*)\)', page)
    assert [target for pair in targets for target in pair if target and not re.match(r"https?:|#", target)] == []


def test_metadata_names_the_license_the_links_and_the_extras(archives: dict[str, Path]) -> None:
    fields = metadata(archives["wheel"])
    assert fields["Name"] == "voskit"
    assert fields["License-Expression"] == "BSD-3-Clause" and fields["License-File"] == "LICENSE"
    assert len(fields.get_all("Project-URL")) >= 6 and len(fields.get_all("Classifier")) >= 6
    assert {"annotate", "referring", "test", "dev"} <= set(fields.get_all("Provides-Extra"))


def test_it_segments_and_the_demo_runs_beside_packages_of_the_same_names(installed: Environment) -> None:
    (installed.folder / "segment.py").write_text(SEGMENT)
    facade = Path(installed.run(installed.python, "segment.py").partition("\n")[0])
    assert facade.name == "__init__.py" and facade != ROOT / "voskit" / "__init__.py"
    masks = sorted((installed.folder / "out" / "clip" / "masks").glob("*.png"))
    assert [path.name for path in masks] == ["00000.png", "00001.png", "00002.png"]


def test_the_command_is_a_module_too(installed: Environment) -> None:
    by_module = installed.run(installed.python, "-m", "voskit", "--help")
    assert by_module == installed.run(installed.python.with_name("voskit"), "--help")
    assert all(f"\n  {name} " in by_module for name in ("demo", "eval", "train"))


def test_a_networks_package_of_another_repository_is_not_shadowed(installed: Environment) -> None:
    """As the tools of a repository do that appends its folder to the path, after site-packages."""
    code = "import sys; sys.path.append('.'); import networks.managers as m; print(m.__file__)"
    (installed.folder / "scripts").mkdir(exist_ok=True)
    (installed.folder / "scripts" / "train.py").write_text(code)
    assert Path(installed.run(installed.python, "scripts/train.py").strip()).name == "managers.py"
