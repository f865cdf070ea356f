"""Checkpoint files of other programs: the forms that are read, and those that are refused, with their messages."""

from __future__ import annotations

import argparse
import datetime
import gzip
import io
import os
import tarfile
import types
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from voskit.networks.checkpoints import load_weights, read_checkpoint

WEIGHTS = {"encoder.a.weight": torch.ones(2), "decoder.b.bias": torch.full((3,), 2.0)}
OTHERS = {name: x + 10 for name, x in WEIGHTS.items()}
CURVE = np.arange(3.0)


def named(change: Callable[[str], str], weights: Mapping[str, Tensor] = WEIGHTS) -> dict[str, Tensor]:
    return {change(name): x for name, x in weights.items()}


def check(state: Mapping[str, Tensor], expected: Mapping[str, Tensor] = WEIGHTS) -> None:
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], x) for name, x in expected.items())


@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        *(
            {key: WEIGHTS, "epoch": 3}
            for key in ("state_dict", "model_state_dict", "net", "ema", "weights", "my_model")
        ),
        {"checkpoint": {"model": {"state_dict": WEIGHTS}}},
        {"state_dict": named("module.{}".format)},
        {"model": named("module._orig_mod.{}".format)},
        {"model": named(lambda name: name.replace(".", "._orig_mod.", 1))},
        {"model": named(lambda name: "_fsdp_wrapped_module." + name.replace(".", "._checkpoint_wrapped_module.", 1))},
        {
            "state_dict": named("model.{}".format),
            "pytorch-lightning_version": "2.5",
            "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.5)}},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []}],
            "hyper_parameters": {"lr": np.float32(0.1)},
        },
        {"optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}, "net": WEIGHTS},
        {"model": WEIGHTS, "ema": {"decay": 0.9, "shadow_params": [torch.ones(2)]}},
        {"state_dict": WEIGHTS, "metrics": {"loss.train": torch.tensor(3.0)}, "loss.best": torch.tensor(3.0)},
        {**WEIGHTS, "epoch": np.float64(3), "optimizer": {"state": {}}},
        {"state_dict": {**WEIGHTS, "epoch": 3}},
    ],
)
def test_keys_and_prefixes_of_weights(tmp_path: Path, caplog, content: dict[str, Any]) -> None:
    torch.save(content, tmp_path / "weights.pth")
    check(read_checkpoint(tmp_path / "weights.pth").state)
    assert not caplog.records  # there is one reading only


@pytest.mark.parametrize(
    "value",
    [
        *(np.float64(1), np.float32(1), np.float16(1), np.int64(1), np.uint8(1), np.bool_(True), np.complex64(1)),
        *(np.str_("x"), np.bytes_(b"x"), np.datetime64("2020-01-01"), np.dtype("float16")),
        *(CURVE, CURVE.astype(np.float16), np.array(["a", "bc"]), np.array([1, "a", None], dtype=object)),
        *(np.zeros(2, dtype=[("a", "i4")]), np.zeros((0, 3)), np.asfortranarray(np.ones((2, 3))), np.array(3.0)),
        *(np.random.RandomState(0).get_state(), {"nested": [np.int16(1), (CURVE,)]}),
        *(Path("a/b"), datetime.datetime(2020, 1, 1), argparse.Namespace(lr=np.float64(1))),
        types.SimpleNamespace(lr=0.1),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("old_format", [False, True], ids=["zip", "legacy"])
def test_harmless_values_beside_weights(tmp_path: Path, value: Any, old_format: bool) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": WEIGHTS, "extra": value}, path, _use_new_zipfile_serialization=not old_format)
    check(read_checkpoint(path).state)


@pytest.mark.parametrize(
    ("content", "is_other", "reading"),
    [
        ({"model": WEIGHTS, "ema": OTHERS}, True, "reading the averaged weights under 'ema', not those under 'model'"),
        ({"state_dict_ema": OTHERS, "state_dict": WEIGHTS}, True, "under 'state_dict_ema', not those under"),
        (
            {"state_dict": WEIGHTS, "callbacks": {"EMA": {"ema_state_dict": OTHERS}}},
            True,
            "under 'callbacks/EMA/ema_state_dict', not those under 'state_dict'",
        ),
        (  # parameters without buffers
            {"model": WEIGHTS, "ema": {"encoder.a.weight": torch.zeros(2)}},
            False,
            "reading the weights under 'model', not those under 'ema'",
        ),
        ({"model": WEIGHTS, "teacher": OTHERS}, False, "under 'model', not those under 'teacher'"),
    ],
)
def test_a_file_with_several_weights_logs_which_are_loaded(
    tmp_path: Path, caplog, content, is_other: bool, reading
) -> None:
    torch.save(content, tmp_path / "weights.pth")
    check(read_checkpoint(tmp_path / "weights.pth").state, OTHERS if is_other else WEIGHTS)
    assert len(caplog.records) == 1
    assert reading in caplog.text


class TwoLayers(nn.Module):
    """The hooks of a network that loading calls."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(2, 3)
        self.decoder = nn.Linear(3, 1)

    def adapt_checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, str]]:
        return {}

    def ignored_tensors(self, shapes: Mapping[str, torch.Size]) -> dict[str, str]:
        return {}


def linear(start: float) -> dict[str, Tensor]:
    return {name: torch.full_like(x, start) for name, x in TwoLayers().state_dict().items()}


@pytest.mark.parametrize(
    ("state", "expected", "logged"),
    [
        (named("net.{}".format, linear(1)), 1, ""),
        (named("segmenter.net.{}".format, linear(1)) | {"criterion.weight": torch.ones(2)}, 1, ""),
        (named("module.{}".format, linear(1)) | {"n_averaged": torch.tensor(3)}, 1, ""),
        (
            named("model.{}".format, linear(1)) | named("ema_model.module.{}".format, linear(2)),
            2,
            "reading the averaged weights under 'ema_model.module.', not those under 'model.'",
        ),
    ],
)
def test_weights_inside_a_training_module(tmp_path: Path, caplog, state, expected: float, logged: str) -> None:
    torch.save({"state_dict": state}, tmp_path / "weights.pth")
    network: Any = TwoLayers()
    report = load_weights(network, read_checkpoint(tmp_path / "weights.pth"))
    assert all((x == expected).all() for x in network.state_dict().values())
    assert len(report.matched) == 4
    assert len(report.ignored) == len(state) - 4
    assert logged in caplog.text


def test_two_networks_in_a_training_module_are_refused(tmp_path: Path) -> None:
    network: Any = TwoLayers()
    torch.save(named("left.{}".format, linear(1)) | named("right.{}".format, linear(2)), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"weights.pth holds several networks \(left., right.\): save the one"):
        load_weights(network, read_checkpoint(tmp_path / "weights.pth"))


def torch_bytes(content: Any = {"net": WEIGHTS}, **options: Any) -> bytes:  # noqa: B006 - not changed
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def zipped(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", ".").replace("_IN_", "/"), content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "member"),
    [
        ("packed.zip", zipped(a__pth=torch_bytes()), "a.pth"),
        ("packed.pth", zipped(run_IN_a__ckpt=torch_bytes(), README__md=b"x"), "run/a.ckpt"),
        ("packed.zip", zipped(a__pth=torch_bytes(_use_new_zipfile_serialization=False)), "a.pth"),
        ("packed.zip", zipped(a__safetensors=save(WEIGHTS)), "a.safetensors"),
        ("packed.safetensors", zipped(a__safetensors=save(WEIGHTS)), "a.safetensors"),
    ],
)
def test_a_checkpoint_in_a_zip_file_is_read(tmp_path: Path, caplog, name: str, content: bytes, member: str) -> None:
    (tmp_path / name).write_bytes(content)
    with caplog.at_level("INFO"):
        checkpoint = read_checkpoint(tmp_path / name)
    check(checkpoint.state)
    assert checkpoint.path == tmp_path / name
    assert f"{name} is a zip file: reading {member} in it" in caplog.text


def tar_bytes() -> bytes:
    file, content = io.BytesIO(), torch_bytes()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("a.pth")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def npz_bytes() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=CURVE)
    return file.getvalue()


class Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("this_must_not_be_made",))


class Plain:
    pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(a__pth=b"x", b__pt=b"x"), r"is a zip file with 2 checkpoints \(a.pth, b.pt\): unpack it"),
        (zipped(README=b"x"), r"is a zip file with no checkpoint \(\['README'\]\): unpack it"),
        (zipped(), "is a zip file with no checkpoint"),
        (zipped(a__pth=b"junk"), r"weights.pth/a.pth is truncated or not a PyTorch file .*: download or copy it again"),
        (zipped(a__pth=torch_bytes({"x": Code()})), "weights.pth/a.pth holds objects other than tensors"),
        (zipped(code_IN_a__py=b"", a_IN_constants__pkl=b"", a_IN_data__pkl=b""), "is a TorchScript program: save the"),
        (npz_bytes(), "is a zip file with no checkpoint"),
        (tar_bytes(), "is a tar archive: unpack it, and give the file in it"),
        (gzip.compress(torch_bytes()), "is a gzip archive: unpack it, and give the file in it"),
        (b"7z\xbc\xaf" + bytes(90), "is a 7z archive"),
        (torch_bytes()[:300], "is truncated or not a PyTorch file"),
        (torch_bytes({"x": Code()}), r"holds objects other than tensors \(posix.mkdir\), which could run code"),
        (torch_bytes({"net": WEIGHTS, "x": Code()}), "which could run code and are not read: save only its state_dict"),
        (torch_bytes({"net": WEIGHTS, "x": np.array([Code()], dtype=object)}), "which could run code"),
        (torch_bytes({"net": WEIGHTS, "x": Plain()}), r"\(.*Plain\), which could run code"),
        (torch_bytes(nn.Linear(2, 2)), r"\(torch.nn.modules.linear.Linear\), which could run code"),
        (torch_bytes(pickle_protocol=4), "uses a pickle protocol other than 2: .* save it with torch.save's default"),
        (torch_bytes({"generator": WEIGHTS, "critic": OTHERS}), r"holds several networks \(generator, critic\)"),
        (torch_bytes({"epoch": 3}), r"holds no weights under a known key; found \['epoch'\]"),
        (torch_bytes([WEIGHTS]), "holds no weights under a known key; found list"),
        (torch_bytes({"optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}}), r"found \['optimizer'\]"),
        (torch_bytes({}), r"found \[\]"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, monkeypatch, content: bytes, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_checkpoint(tmp_path / "weights.pth")
    assert f"checkpoint {tmp_path / 'weights.pth'}" in str(error.value)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pth"]


def test_an_unpacked_file_is_a_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(torch_bytes())) as archive:
        archive.extractall(tmp_path / "weights.pth")
    with pytest.raises(FileNotFoundError, match="is a folder, not a file: an unpacked PyTorch file; download it again"):
        read_checkpoint(tmp_path / "weights.pth")
