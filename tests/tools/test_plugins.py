"""--plugin: a user's module registers its own entries for every command and for the processes that a command starts."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from thorough import mark_thorough

from voskit.__main__ import COMMANDS, main
from voskit.configs.models.base import MODELS
from voskit.dataloaders.masks.files import write_mask
from voskit.evaluators.exports.base import EXPORTS, Export, build_export
from voskit.networks import build_model, save_weights
from voskit.networks.encoders import ENCODERS
from voskit.networks.memory.policies import POLICIES, build_policy
from voskit.plugins import load_plugins, take_plugins

ROOT = Path(__file__).resolve().parents[2]

TRAINING = '''
"""A family, a stage, a loss, a sampling and a dataset."""

from torch import nn

from voskit.configs import PropagationConfig, register_model
from voskit.configs.datasets import DatasetConfig, register_dataset
from voskit.configs.stages import StageConfig, register_stage
from voskit.dataloaders.training.build import SAMPLINGS
from voskit.dataloaders.training.aot_images import StaticClips
from voskit.dataloaders.training.aot_videos import VideoClips
from voskit.networks.families import FAMILIES, Family
from voskit.networks.models.base import Network, Supervised
from voskit.trainers.losses import CLIP_LOSSES


class Colors(Network):
    """Classifies each pixel by its color."""

    def __init__(self, config):
        super().__init__(config)
        self.head = nn.Conv2d(3, config.max_objects + 1, 1)

    def propagate_clips(self, frames_TB3HW, *_, **__):
        return [[Supervised(1.0, self.head(frame))] for frame in frames_TB3HW]


FAMILIES.register("colors")(Family(Colors))


@register_model("my_colors")
class MyColors(PropagationConfig):
    family = "colors"


@register_dataset("my_videos")
class MyVideos(DatasetConfig):
    splits = ("train",)
    frames = ("clips/{video}",)
    masks = ("labels/{video}",)
    index_required = False
    given = "all"


@CLIP_LOSSES.register("my_loss")
def mean_of_squares(clips, labels, counts, stage, step):
    print("my_loss is used")
    return clips[-1][0].logits.square().mean()


class Backwards(VideoClips):
    def _draw(self, source, rng):
        print("my_sampling is used")
        return super()._draw(source, rng)


SAMPLINGS.register("my_sampling")((StaticClips, Backwards))


@register_stage("my_stage")
class MyStage(StageConfig):
    datasets = ("my_videos",)
    loss = "my_loss"
    sampling = "my_sampling"
    merge_probability = 0.0
    crop = 33
    clip_length = 2
    batch_size = 2
    total_steps = 1
    workers = 0
'''
ENCODER = """
from torch import nn

from voskit.configs.models.aot import AOTT
from voskit.configs import register_model
from voskit.networks.encoders import ENCODERS, Encoder


@ENCODERS.register("my_patches")
class Patches(Encoder):
    channels = (8, 8, 8, 8)

    def __init__(self, norm, drop_path):
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Conv2d(3, 8, 7, 4, 3), nn.Conv2d(8, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1), nn.Conv2d(8, 8, 1)]
        )

    def forward(self, image_B3HW):
        maps = []
        for layer in self.layers:
            maps.append(layer(maps[-1] if maps else image_B3HW))
        return maps

    def stages(self):
        return [[layer] for layer in self.layers]


@register_model("my_patches_aott")
class PatchesAOTT(AOTT):
    encoder = "my_patches"
"""
POLICY = """
from dataclasses import dataclass

from voskit.networks.memory.policies import POLICIES, build_policy

PLACED = []


@POLICIES.register("my_policy")
@dataclass(frozen=True)
class LatestOnly:
    max_frames: int

    def due(self, *_, **__):
        return True

    def place(self, stored, new):
        PLACED.append((new.frame, len(stored)))
        if len(stored) < self.max_frames:
            return len(stored)
        return min(range(len(stored)), key=lambda slot: stored[slot].frame)
"""


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget after a test what its plugins have registered."""
    for table in (MODELS, ENCODERS, POLICIES):
        monkeypatch.setattr(table, "_entries", {name: table.get(name) for name in table})
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["voskit"])
    monkeypatch.setenv("VOSKIT_PLUGINS", "")
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("plugin_"):
            del sys.modules[name]


def video(folder: Path, frames: str, masks: str) -> None:
    """Write three small frames with one object."""
    for kind in (frames, masks):
        (folder / kind).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for t in range(3):
        mask = np.zeros((48, 64), np.uint8)
        mask[10:40, 15 + t : 50 + t] = 1
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(folder / frames / f"{t:05d}.jpg")
        write_mask(folder / masks / f"{t:05d}.png", mask)


@pytest.mark.parametrize("processes", mark_thorough([1, 2], [2]))
def test_a_family_stage_loss_sampling_and_dataset_train(tmp_path: Path, processes: int) -> None:
    (tmp_path / "plugin_training.py").write_text(TRAINING)
    video(tmp_path, "clips/a", "labels/a")
    video(tmp_path, "clips/b", "labels/b")
    flags = f"--plugin plugin_training.py --model my_colors --stage my_stage --device cpu --gpu_num {processes}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "voskit", "train", *flags.split(), "--data_path", "."]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("my_loss is used") == processes
    assert done.stdout.count("my_sampling is used") == 2  # clips
    assert (tmp_path / "results" / "default_MyColors" / "MY_STAGE" / "ema.safetensors").exists()


@pytest.mark.usefixtures("in_this_process")
def test_an_encoder_of_your_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plugin_encoder.py").write_text(ENCODER)
    load_plugins([str(tmp_path / "plugin_encoder.py")])
    save_weights(build_model("my_patches_aott", device="cpu"), tmp_path / "a.safetensors")
    flags = ["--model", "my_patches_aott", "--ckpt_path", tmp_path / "a.safetensors", "--output_path"]
    plugin = f"--plugin={tmp_path / 'plugin_encoder.py'}"
    assert main(["export", *map(str, flags), str(tmp_path / "b.safetensors"), plugin]) == 0
    model = build_model("my_patches_aott", checkpoint=tmp_path / "b.safetensors", device="cpu")
    assert type(model.encoder).__name__ == "Patches"


@pytest.mark.usefixtures("in_this_process")
def test_a_memory_policy_of_your_own_is_named_by_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plugin_policy.py").write_text(POLICY)
    video(tmp_path, "frames", "masks")
    flags = ["--device", "cpu", "--data_path", tmp_path / "frames", "--mask", tmp_path / "masks", "--short_edge", 48]
    common = ["demo", "--plugin", tmp_path / "plugin_policy.py", *flags, "--output_path", tmp_path / "out", "--policy"]
    assert main([*map(str, common), "my_policy:max_frames=2"]) == 0
    placed = importlib.import_module("plugin_policy").PLACED
    assert [frame for frame, _ in placed] == [0, 1, 2]
    assert main([*map(str, common), "my_polcy"]) == 1
    assert "unknown memory policy 'my_polcy': did you mean my_policy?" in capsys.readouterr().err


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "plugin_wrong.py: no such file"),
        ("x = 1\n\ny = x / 0\n", "plugin_wrong.py, line 3: ZeroDivisionError: division by zero"),
        ("import torch\nx = (\n", "plugin_wrong.py, line 2: SyntaxError: '(' was never closed"),
        (
            "\nimport no_such_package\n",
            "plugin_wrong.py, line 2: ModuleNotFoundError: No module named 'no_such_package'",
        ),
        (
            "from voskit.configs.models.aot import AOTT, register_model\n\nregister_model('aott')(AOTT)\n",
            "plugin_wrong.py, line 3: ValueError: model 'aott' is registered twice",
        ),
    ],
)
def test_an_error_of_a_plugin_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, message: str
) -> None:
    file = tmp_path / "plugin_wrong.py"
    if text is not None:
        file.write_text(text)
    assert main(["export", "--plugin", str(file)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --plugin {tmp_path}/{message}")


@pytest.mark.usefixtures("in_this_process")
def test_a_file_must_not_hide_behind_another_module(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "random.py").write_text("")
    assert main(["export", "--plugin", str(tmp_path / "random.py")]) == 1
    assert "random.py: Python has another module 'random'" in capsys.readouterr().err
    assert main(["export", "--plugin", "no_such_plugin"]) == 1
    assert "--plugin no_such_plugin: there is neither a module nor a file no_such_plugin.py" in capsys.readouterr().err


def test_plugins_are_taken_out_of_the_other_arguments() -> None:
    arguments = ["--model", "mine", "--plugin", "a.py", "--amp", "--plugin=b.py"]
    assert take_plugins(arguments) == (["a.py", "b.py"], ["--model", "mine", "--amp"])
    for without_value in (["--plugin"], ["--plugin", "--amp"], ["--plugin="]):
        with pytest.raises(ValueError, match="--plugin needs a Python file or the name of a module"):
            take_plugins(without_value)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_plugins(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--plugin", "no_such_plugin"]) == 1
    assert "--plugin no_such_plugin: there is neither" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("my.plugin.py", "", r"my\.plugin\.py: rename the file: it must end in \.py and have no other dot"),
        ("plugin.txt", "", r"plugin\.txt: rename the file: it must end in \.py"),
        ("folder/__init__.py", "", r"folder is a folder: give a Python file in it"),
        ("zeros.py", "x = '\0'", r"zeros\.py: SyntaxError: source code string cannot contain null bytes"),
        ("ends.py", "import sys; sys.exit()", r"ends\.py: it ends the program"),
    ],
)
def test_files_that_cannot_be_plugins_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, message: str
) -> None:
    monkeypatch.setenv("VOSKIT_PLUGINS", "")
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        load_plugins([str(path.parent if path.stem == "__init__" else path)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [".near", ".."])
def test_relative_names_of_modules_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("VOSKIT_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="give a Python file"):
        load_plugins([name])


@pytest.mark.parametrize("name", [len, "", "a b", "a:b", "a,b", "a=b"])
def test_a_name_that_no_flag_can_choose_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match=r"memory policy .*: register\(\) takes the name of the entry"):
        POLICIES.register(name)  # type: ignore[arg-type]


def test_a_policy_without_its_methods_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(POLICIES, "_entries", {name: POLICIES.get(name) for name in POLICIES})

    class Partial:
        def __init__(self, max_frames: int = 3) -> None:
            self.max_frames = max_frames

        def due(self, *_: object) -> bool:
            return True

    class Whole(Partial):
        def place(self, *_: object) -> int:
            return 0

    POLICIES.register("partial")(Partial)  # type: ignore[arg-type]
    POLICIES.register("whole")(Whole)
    with pytest.raises(ValueError, match="memory policy 'partial': Partial has no place"):
        build_policy("partial")
    with pytest.raises(ValueError, match="memory policy 'whole:max_frames=0': max_frames must be an integer of at"):
        build_policy("whole:max_frames=0")
    assert build_policy("whole:max_frames=2").max_frames == 2


def test_a_format_without_its_methods_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EXPORTS, "_entries", {name: EXPORTS.get(name) for name in EXPORTS})

    class Partial(Export):
        output = "x.txt"

        def write(self, frame: object) -> None:
            pass

    EXPORTS.register("partial")(Partial)
    EXPORTS.register("other")(dict)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="export partial: Partial has no method close"):
        build_export("partial")
    with pytest.raises(ValueError, match="export other: a format must be a subclass of Export"):
        build_export("other")
