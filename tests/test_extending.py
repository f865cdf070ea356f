"""What docs/extending.md prints works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from PIL import Image
from small_training import Squares, small_stage
from torch import nn

from voskit.configs import PropagationConfig
from voskit.configs.models.aot import AOTL
from voskit.configs.models.base import MODELS, register_model
from voskit.dataloaders.masks.files import write_mask
from voskit.networks import build_model
from voskit.networks.encoders import ENCODERS, Encoder, build_encoder
from voskit.networks.models.base import Supervised
from voskit.trainers.run import training_data
from voskit.trainers.trainer import Trainer, TrainerOptions

DOCS = Path(__file__).resolve().parents[1] / "docs"


def printed(page: str, what: str) -> str:
    """The example of a page in which a text stands."""
    (found,) = (e for e in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.S) if what in e)
    return found


@pytest.fixture
def regnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder that is printed, and the model that has it."""
    for table in (ENCODERS, MODELS):
        monkeypatch.setattr(table, "_entries", {name: table.get(name) for name in table})
    names: dict[str, Any] = {"torchvision": torchvision, "Encoder": Encoder, "ENCODERS": ENCODERS, "AOTL": AOTL}
    names["register_model"] = register_model
    for what in ("class RegNet(", "class RegNetAOTL("):
        exec(printed("extending.md", what), {**names, "__name__": "printed"})


@pytest.mark.usefixtures("regnet")
def test_every_part_of_the_printed_encoder_learns_and_can_be_frozen() -> None:
    encoder = build_encoder("regnety", freeze_bn=False)
    maps = encoder(torch.randn(2, 3, 65, 65))
    assert [x.shape[1:] for x in maps] == [(c, n, n) for c, n in zip(encoder.channels, (17, 9, 5, 5), strict=True)]
    sum(x.square().sum() for x in maps).backward()
    assert all(p.grad is not None for p in encoder.parameters())
    encoder.freeze(4)
    assert not any(p.requires_grad for p in encoder.parameters())


@pytest.mark.usefixtures("regnet")
def test_the_printed_model_starts_from_torchvision_s_file(tmp_path: Path) -> None:
    file = tmp_path / "regnet_y_1_6gf.pth"
    whole = torchvision.models.regnet_y_1_6gf()
    torch.save(whole.state_dict(), file)
    model = build_model("regnety_aotl", device="cpu", encoder_checkpoint=file)
    assert model.config.encoder_weights.startswith("regnet_y_1_6gf")
    for name, x in model.encoder.state_dict().items():
        assert torch.equal(x, whole.state_dict()[name]), name


class Plain(PropagationConfig):
    """A family with nothing but what all have."""


class PlainNetwork(nn.Module):
    def __init__(self, config: Plain) -> None:
        super().__init__()
        self.config = config
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
