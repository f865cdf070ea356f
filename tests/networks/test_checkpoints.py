"""Checkpoints: both layouts, strictness, and files that are none."""

from __future__ import annotations

import collections
import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import small_fields
from thorough import mark_thorough
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from voskit.configs import get_model_config, list_models
from voskit.configs.models.aot import IdentityBankConfig
from voskit.networks import build_model, build_network, save_weights
from voskit.networks.checkpoints import load_weights, models_that_fit, read_checkpoint
from voskit.networks.initialization import NoInitialization

ONE_EACH = {"aott", "deaott", "r50_aost", "swinb_aotl", "xmem", "jointformer"}
IDENTITY_BANK_MODELS = [n for n in list_models() if isinstance(get_model_config(n), IdentityBankConfig)]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_model("aott", device="cpu")


@pytest.fixture(scope="module")
def published(network, tmp_path_factory) -> Path:
    """A file laid out like the authors' ones, optimiser and scaler included."""
    path = tmp_path_factory.mktemp("published") / "AOTT_PRE_YTB_DAV.pth"
    optimizer = {"param_groups": [{"lr": np.float64(2e-4), "step": np.int64(3)}], "state": {}}
    torch.save({"state_dict": network.state_dict(), "optimizer": optimizer, "scaler": {"scale": 2.0}}, path)
    return path


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", IDENTITY_BANK_MODELS)
def test_tensor_names_and_shapes_are_the_published_ones(goldens_of, name: str) -> None:
    keys = json.loads((goldens_of(name) / "keys" / f"{name}.json").read_text())
    with torch.device("meta"):
        network = build_network(get_model_config(name))
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == {e[0]: e[1] for e in keys["entries"]}
    assert sum(p.numel() for p in network.parameters()) == keys["num_parameters"]
    frozen = {k for k, p in network.named_parameters() if not p.requires_grad}
    assert frozen - {"LSTT.mask_token"} == set(keys["frozen_parameters"])


def test_published_file_loads_whole(network, published: Path) -> None:
    assert same_weights(build_model("aott", checkpoint=published, device="cpu"), network)


@pytest.mark.parametrize("layout", ["bare", "module.", "model", "nested", "compiled", "xmem's"])
def test_other_layouts_of_torch_files(network, tmp_path: Path, layout: str) -> None:
    state = network.state_dict()
    content = {
        "bare": state,
        "module.": {"state_dict": {f"module.{k}": v for k, v in state.items()}},
        "model": {"model": collections.OrderedDict(state)},
        "nested": {"model": {"state_dict": state}, "epoch": 3},
        "compiled": {"model": {f"module._orig_mod.{k}": v for k, v in state.items()}},
        "xmem's": {"network": state, "it": 5, "optimizer": {}},
    }[layout]
    torch.save(content, tmp_path / "weights.pth")
    assert same_weights(build_model("aott", checkpoint=tmp_path / "weights.pth", device="cpu"), network)


def test_of_a_run_s_checkpoint_the_averaged_weights_and_the_config_are_read(tmp_path: Path) -> None:
    own = build_model("aott", device="cpu", max_objects=4)
    content = {
        "step": 3,
        "model": own.config.to_dict(),
        "model_name": "aott",
        "weights": build_model("aott", device="cpu", max_objects=4).state_dict(),
        "average": {"updates": 3, "weights": own.state_dict()},
    }
    torch.save(content, tmp_path / "step_00000003.pt")
    model = build_model("aott", checkpoint=tmp_path / "step_00000003.pt", device="cpu")
    assert same_weights(model, own)
    assert model.config == own.config


def test_safetensors_of_a_wrapped_network_load(network, tmp_path: Path) -> None:
    save_file({f"_orig_mod.{k}": v for k, v in network.state_dict().items()}, tmp_path / "weights.safetensors")
    assert same_weights(build_model("aott", checkpoint=tmp_path / "weights.safetensors", device="cpu"), network)


def test_values_that_the_network_s_type_doesn_t_hold_are_damage(network, tmp_path: Path) -> None:
    state = {k: v.double() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    state["encoder_projector.bias"][0] = 1e300
    torch.save(state, tmp_path / "large.pth")
    with pytest.raises(ValueError, match=r"encoder_projector.bias holds values that are not finite"):
        build_model("aott", checkpoint=tmp_path / "large.pth", device="cpu")


def test_old_torch_files_load(network, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert same_weights(build_model("aott", checkpoint=tmp_path / "old.pth", device="cpu"), network)


@pytest.mark.parametrize(
    "name", mark_thorough(list_models("semi_supervised"), set(list_models("semi_supervised")) - ONE_EACH)
)
def test_saved_weights_load_unchanged(name: str, tmp_path: Path) -> None:
    narrow = small_fields(name) if name in IDENTITY_BANK_MODELS else {}
    model = build_model(name, device="cpu", long_term_gap=7, **narrow)
    save_weights(model, tmp_path / "own.safetensors")
    again = build_model(name, checkpoint=tmp_path / "own.safetensors", device="cpu")
    assert same_weights(model, again)
    assert again.config == model.config
    metadata = read_checkpoint(tmp_path / "own.safetensors").metadata
    assert metadata["model"] == name
    assert json.loads(metadata["config"])["long_term_gap"] == 7
    assert [p.name for p in tmp_path.iterdir()] == ["own.safetensors"]


class RandomNumbers(TorchDispatchMode):
    """A mode that counts the random numbers that tensors are filled with."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in (torch.ops.aten.normal_, torch.ops.aten.uniform_):
            self.count += args[0].numel()
        return func(*args, **(kwargs or {}))


def test_weights_that_a_file_fills_are_not_drawn_first(published: Path) -> None:
    with RandomNumbers() as drawn:
        build_model("aott", device="cpu")
    with RandomNumbers() as drawn_for_file:
        build_model("aott", checkpoint=published, device="cpu")
    assert 4 * drawn_for_file.count < drawn.count


def test_only_parameters_go_without_initialization() -> None:
    """Other tensors needn't be in a file."""
    parameter, buffer = nn.Parameter(torch.zeros(9)), torch.zeros(9)
    with NoInitialization():
        for initialize in (nn.init.normal_, nn.init.uniform_, torch.Tensor.normal_, torch.Tensor.uniform_):
            initialize(parameter)
        nn.init.normal_(buffer)
    assert not parameter.any() and buffer.all()


def test_settings_in_a_saved_file_apply_unless_overridden(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "own.safetensors"
    own = {"long_term_gap": 7, "trained_positions": 9, "self_heads": 4}
    save_weights(build_model("aott", device="cpu", freeze_backbone=True, **own), path)
    with caplog.at_level(logging.INFO):
        config = build_model("aott", checkpoint=path, device="cpu").config
    assert config == get_model_config("aott", **own)
    fields = "long_term_gap=7, self_heads=4, trained_positions=9"
    assert f"{path}: using the file's config, except for changed fields: {fields}" in caplog.text
    assert build_model("aott", checkpoint=path, device="cpu", long_term_gap=9999).config.long_term_gap == 9999


def test_a_half_precision_file_is_converted_and_logged(network, tmp_path: Path, caplog) -> None:
    save_weights(network, tmp_path / "half.safetensors", torch.float16)
    with caplog.at_level(logging.INFO):
        model = build_model("aott", checkpoint=tmp_path / "half.safetensors", device="cpu")
    assert model.LSTT.layers[0].linear_Q.weight.dtype == torch.float32
    assert "converted (float16 to float32" in caplog.text


def test_report_names_what_was_ignored_and_why(network, tmp_path: Path) -> None:
    state = network.state_dict() | {"encoder.features.0.1.num_batches_tracked": torch.tensor(5)}
    torch.save(state, tmp_path / "counted.pth")
    report = load_weights(build_model("aott", device="cpu"), read_checkpoint(tmp_path / "counted.pth"))
    assert len(report.matched) == len(network.state_dict())
    assert "1 ignored (counters of batch norms" in str(report)


def test_random_weights_are_logged(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        build_model("aott", device="cpu")
    assert "aott: no checkpoint was given, all weights are random" in caplog.text


def test_the_models_that_a_file_fits_are_found(network) -> None:
    assert models_that_fit(network.state_dict()) == ["aott"]


def test_a_model_that_cannot_be_built_without_data_is_not_suggested(network, monkeypatch) -> None:
    def build(config):
        if type(config).__name__ == "XMem":
            torch.zeros(1).tolist()  # as some networks of torchvision do: NotImplementedError on device meta
        return build_network(config)

    monkeypatch.setattr("voskit.networks.checkpoints.build_network", build)
    assert models_that_fit(network.state_dict()) == ["aott"]


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def damaged(kind: str, network, published: Path, folder: Path) -> Path:
    """Make a file that is no checkpoint of aott."""
    path = folder / f"{kind}.pth"
    state = dict(network.state_dict())
    whole = published.read_bytes()
    if kind == "html":
        path.write_text("<!DOCTYPE html><html><title>Quota exceeded</title></html>")
    elif kind == "empty":
        path.touch()
    elif kind == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "lfs":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    elif kind == "noise":
        path.write_bytes(b"\x12\x34" * 500)
    elif kind == "code":
        path.write_bytes(pickle.dumps({"state_dict": Evil()}, protocol=2))
    elif kind == "code in zip":
        torch.save({"state_dict": state, "extra": Evil()}, path)
    elif kind == "no weights":
        torch.save({"epoch": 3}, path)
    elif kind == "missing":
        del state["decoder.conv_out.bias"]
        torch.save({"state_dict": state}, path)
    elif kind == "unknown":
        torch.save({"state_dict": state | {"decoder.extra.weight": torch.ones(2)}}, path)
    elif kind == "shape":
        torch.save({"state_dict": state | {"decoder.conv_out.bias": torch.ones(12)}}, path)
    elif kind == "nan":
        torch.save({"state_dict": state | {"decoder.conv_out.bias": torch.full((11,), torch.nan)}}, path)
    elif kind == "truncated safetensors":
        path = path.with_suffix(".safetensors")
        save_file({k: v.contiguous() for k, v in state.items()}, path)
        path.write_bytes(path.read_bytes()[:100_000])
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("html", "is a web page, not weights"),
        ("empty", "is empty: download it again"),
        ("truncated", "is truncated or not a PyTorch file"),
        ("lfs", "is a git-lfs pointer"),
        ("noise", "is not a PyTorch or safetensors file"),
        ("code", "could run code and are not read"),
        ("code in zip", "could run code and are not read"),
        ("no weights", "holds no weights under a known key"),
        ("missing", r"doesn't fit aott: 1 tensors are missing \(decoder.conv_out.bias\)"),
        ("unknown", r"1 tensors are unknown \(decoder.extra.weight\)"),
        ("shape", r"1 tensors are of a different shape \(decoder.conv_out.bias \[12\] for \[11\]\)"),
        ("nan", "is damaged: decoder.conv_out.bias holds values that are not finite"),
        ("truncated safetensors", "is not a complete safetensors file"),
        ("folder", "is a folder, not a file"),
        ("absent", "does not exist"),
    ],
)
def test_files_that_are_not_checkpoints_are_refused(
    kind: str, message: str, network, published, tmp_path, capsys
) -> None:
    path = damaged(kind, network, published, tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        build_model("aott", checkpoint=path, device="cpu")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert "this must not run" not in capsys.readouterr().out


def test_another_models_checkpoint_is_named(published: Path) -> None:
    with pytest.raises(ValueError, match=r"doesn't fit deaott: .*; it fits aott"):
        build_model("deaott", checkpoint=published, device="cpu")


def test_deeper_models_checkpoint_is_not_cut_silently(tmp_path: Path) -> None:
    torch.save(build_model("deaotb", device="cpu").state_dict(), tmp_path / "deep.pth")
    with pytest.raises(ValueError, match=r"tensors are unknown .*; it fits deaotb or deaotl"):
        build_model("deaott", checkpoint=tmp_path / "deep.pth", device="cpu")


def test_of_another_shape_only_fields_that_shape_tensors_are_named() -> None:
    with pytest.raises(ValueError, match=r"it was written with max_objects=5$"):
        build_model("deaott", pretrained=True, device="cpu", max_objects=20)


def test_of_a_larger_identity_bank_the_first_identities_are_taken(published: Path, caplog) -> None:
    whole = build_model("aott", checkpoint=published, device="cpu")
    whole.keep_identities([1, 2, 3])
    with caplog.at_level("INFO"):
        few = build_model("aott", checkpoint=published, device="cpu", max_objects=3)
    assert "the first 3 of 10 identities" in caplog.text
    assert few.config == whole.config
    assert all(torch.equal(x, y) for x, y in zip(few.parameters(), whole.parameters(), strict=True))


def test_a_saved_file_describes_itself(tmp_path: Path) -> None:
    save_weights(build_model("deaott", device="cpu"), tmp_path / "own.safetensors")
    with pytest.raises(
        ValueError, match=r"doesn't fit aott: .*; according to its metadata, it is a checkpoint of deaott"
    ):
        build_model("aott", checkpoint=tmp_path / "own.safetensors", device="cpu")


def test_an_unusable_device_is_reported() -> None:
    with pytest.raises(ValueError, match="device 'tpu9' can't be used here"):
        build_model("aott", device="tpu9")


def test_saving_where_nothing_can_be_written(network, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"the checkpoint cannot be written: .*missing/own.safetensors"):
        save_weights(network, tmp_path / "missing" / "own.safetensors")


def test_weights_on_disk_are_plain_safetensors(network, tmp_path: Path) -> None:
    save_weights(network, tmp_path / "own.safetensors")
    assert set(load_file(tmp_path / "own.safetensors")) == set(network.state_dict())


def test_saved_weights_have_the_usual_permissions(network, tmp_path: Path) -> None:
    save_weights(network, tmp_path / "own.safetensors")
    (tmp_path / "other").touch()
    assert (tmp_path / "own.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
