"""Examples that docs/extending.md and docs/families.md print, run as they are printed."""

from __future__ import annotations

import importlib
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_training import Squares, small_stage
from torch import nn

from voskit.configs import PropagationConfig, get_model_config
from voskit.configs.datasets.base import DATASETS
from voskit.configs.models.base import MODELS
from voskit.configs.stages.base import STAGES, get_stage_config
from voskit.dataloaders.masks.files import write_mask
from voskit.dataloaders.training.build import SAMPLINGS
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.exports.base import EXPORTS
from voskit.evaluators.exports.results import export_masks
from voskit.networks import Network, build_model, save_weights
from voskit.networks.encoders import ENCODERS, build_encoder
from voskit.networks.families import FAMILIES
from voskit.networks.memory.policies import POLICIES, build_policy
from voskit.networks.models.base import Supervised
from voskit.plugins import load_plugins
from voskit.trainers.losses import CLIP_LOSSES
from voskit.trainers.run import training_data
from voskit.trainers.trainer import Trainer, TrainerOptions

DOCS = Path(__file__).resolve().parents[1] / "docs"


def printed(page: str, what: str) -> str:
    """The example of a page in which a text stands."""
    (found,) = (e for e in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.S) if what in e)
    return found


TABLES = (CLIP_LOSSES, DATASETS, ENCODERS, EXPORTS, MODELS, POLICIES, SAMPLINGS, STAGES)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples of docs/extending.md as one file, loaded as by ``--plugin``."""
    for table in TABLES:
        monkeypatch.setattr(table, "_entries", {name: table.get(name) for name in table})
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("VOSKIT_PLUGINS", "")
    monkeypatch.delitem(sys.modules, "printed_plugin", raising=False)
    text = (DOCS / "extending.md").read_text("utf-8")
    (tmp_path / "printed_plugin.py").write_text("\n".join(re.findall(r"```python\n(.*?)```", text, re.S)))
    load_plugins([str(tmp_path / "printed_plugin.py")])


@pytest.mark.usefixtures("plugin")
def test_everything_printed_is_registered_and_fits_together(tmp_path: Path) -> None:
    for folder, ending in (("frames", "jpg"), ("masks", "png")):
        (tmp_path / "train" / folder / "a").mkdir(parents=True)
        for t in range(30):
            path = tmp_path / "train" / folder / "a" / f"{t:05d}.{ending}"
            mask = squares((1, 10, 10 + t))
            Image.fromarray(painted(mask)).save(path) if ending == "jpg" else write_mask(path, mask)
    stage = get_stage_config("mine", crop=49, clip_length=2, merge_probability=0.0)
    clips = training_data(stage, get_model_config("regnety_aotl"), tmp_path)
    assert clips.parts[0].gap == 10 * stage.davis_gap
    labels = clips[0].labels[:, None]
    supervised = [[Supervised(1.0, torch.zeros(1, 11, 49, 49))] for _ in labels]
    loss = CLIP_LOSSES.get(stage.loss)(supervised, labels, [1], stage, 0)
    assert loss.item() == pytest.approx(math.log(11))
    assert build_policy("latest_only:max_frames=3").max_frames == 3
    frames, masks = tmp_path / "train" / "frames" / "a", tmp_path / "train" / "masks" / "a"
    for least, count in ((1, 1), (10**6, 0)):
        (path,) = export_masks(frames, masks, tmp_path / "exports", [f"counts:least_area={least}"])
        assert path.read_text().splitlines() == [f"{t:05d} {count}" for t in range(30)]
    assert stage.model == {"freeze_backbone": True}


@pytest.mark.usefixtures("plugin")
def test_every_part_of_the_printed_encoder_learns_and_can_be_frozen() -> None:
    encoder = build_encoder("regnety", freeze_bn=False)
    maps = encoder(torch.randn(2, 3, 65, 65))
    assert [x.shape[1:] for x in maps] == [(c, n, n) for c, n in zip(encoder.channels, (17, 9, 5, 5), strict=True)]
    sum(x.square().sum() for x in maps).backward()
    assert all(p.grad is not None for p in encoder.parameters())
    encoder.freeze(4)
    assert not any(p.requires_grad for p in encoder.parameters())


@pytest.mark.usefixtures("plugin")
def test_the_printed_model_starts_from_torchvision_s_file(tmp_path: Path) -> None:
    from torchvision.models import regnet_y_1_6gf

    file = tmp_path / "regnet_y_1_6gf.pth"
    whole = regnet_y_1_6gf()
    torch.save(whole.state_dict(), file)
    model = build_model("regnety_aotl", device="cpu", encoder_checkpoint=file)
    assert model.config.encoder_weights.startswith("regnet_y_1_6gf")
    for name, x in model.encoder.state_dict().items():
        assert torch.equal(x, whole.state_dict()[name]), name


@pytest.fixture
def nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network of the family that is printed, which matches positions by their mean colors."""
    for table in (FAMILIES, MODELS):
        monkeypatch.setattr(table, "_entries", {name: table.get(name) for name in table})
    (tmp_path / "my_family.py").write_text(printed("families.md", "class NearestEngine"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_family", raising=False)
    importlib.import_module("my_family")
    network = build_model("nearest", device="cpu", channels=3)
    network.encoder.weight.data = torch.eye(3)[:, :, None, None].expand(3, 3, 16, 16) / 256
    network.encoder.bias.data.zero_()
    return network


def squares(*corners: tuple[int, int, int]) -> np.ndarray:
    """Ids of squares of 48 pixels, given as (id, y, x), on 96 x 160."""
    ids = np.zeros((96, 160), np.uint8)
    for i, y, x in corners:
        ids[y : y + 48, x : x + 48] = i
    return ids


def painted(ids: np.ndarray) -> np.ndarray:
    """A frame that shows each id in a color of its own."""
    return np.array([[20, 20, 220], [220, 20, 20], [20, 220, 20]], np.uint8)[ids]


def test_the_printed_family_follows_objects(nearest: Network) -> None:
    segmenter = VideoSegmenter(nearest)
    before = squares((1, 0, 0))
    assert not segmenter.step(painted(before)).any()
    assert np.array_equal(segmenter.step(painted(before), mask=before), before)
    both = squares((1, 0, 0), (2, 48, 96))
    segmenter.step(painted(both), mask=squares((2, 48, 96)))
    moved = squares((1, 32, 16), (2, 16, 112))
    ids, probs = segmenter.step(painted(moved), return_probs=True)
    assert (ids == moved).mean() > 0.95 and probs.shape == (3, 96, 160)
    assert segmenter.object_ids == [1, 2] and segmenter.memory_bytes > 0
    segmenter.delete_objects([1])
    assert set(np.unique(segmenter.step(painted(moved)))) == {0, 2}
    segmenter.step(painted(moved), mask=np.zeros_like(moved), complete=True)
    assert not segmenter.step(painted(moved)).any()
    with pytest.raises(ValueError, match="there is no object 7"):
        segmenter.delete_objects([7])


def test_the_printed_family_is_augmented_batched_and_saved(nearest: Network, tmp_path: Path) -> None:
    before, after = squares((1, 0, 0)), squares((1, 32, 16))
    wide = VideoSegmenter(nearest, flip=True, scales=(1.0, 2.0))
    wide.step(painted(before), mask=before)
    assert (wide.step(painted(after)) == after).mean() > 0.95
    one = VideoSegmenter(nearest)
    pair = [one, one.another()]
    VideoSegmenter.step_together(pair, [painted(before)] * 2, [before] * 2)
    together = VideoSegmenter.step_together(pair, [painted(after)] * 2)
    assert all((ids == after).mean() > 0.95 for ids in together)
    save_weights(nearest, tmp_path / "nearest.safetensors")
    again = build_model("nearest", checkpoint=tmp_path / "nearest.safetensors", device="cpu")
    assert again.config.channels == 3
    assert torch.equal(again.encoder.weight, nearest.encoder.weight)


def test_the_page_on_families_lists_all_hooks() -> None:
    hooks = [name for name in vars(Network) if not name.startswith("_")]
    page = (DOCS / "families.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)", page, re.M)
    assert len(hooks) >= 9 and not set(hooks) - set(rows)


class Plain(PropagationConfig):
    """A config with the common fields only."""


class PlainNetwork(Network):
    def __init__(self, config: Plain) -> None:
        super().__init__(config)
        self.head = nn.Conv2d(3, config.max_objects + 1, 1)

    def propagate_clips(self, frames: torch.Tensor, *_: Any, **__: Any) -> list[list[Supervised]]:
        return [[Supervised(1.0, self.head(frame))] for frame in frames]


def test_a_family_needs_no_fields_but_the_common_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODELS, "_entries", {**MODELS._entries, "plain": Plain})
    for kind, ending in (("JPEGImages", "jpg"), ("Annotations", "png")):
        (tmp_path / "Static" / kind / "set").mkdir(parents=True)
        path = tmp_path / "Static" / kind / "set" / f"0.{ending}"
        mask = torch.zeros(80, 80, dtype=torch.uint8)
        mask[20:60, 20:60] = 1
        Image.new("RGB", (80, 80)).save(path) if ending == "jpg" else write_mask(path, mask.numpy())
    stage = small_stage(batch_size=2, min_lr_large=1e-6)
    assert len(training_data(stage, Plain(), tmp_path)) == 1
    trainer = Trainer(PlainNetwork(Plain()), stage, Squares(), tmp_path, options=TrainerOptions(progress=False))
    trainer.train(until=2)
    assert trainer.step == 2
