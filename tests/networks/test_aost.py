"""AOST: its parts against numbers of the original, and its depth as a thing that is chosen."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from moving_clip import moving_frames, squares
from torch import Tensor, nn

from voskit.configs import get_model_config, models_with_depths
from voskit.dataloaders.transforms import prepare_image
from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model, build_network, save_weights
from voskit.networks.checkpoints import load_weights, read_checkpoint
from voskit.networks.decoders.fpn import ScalableFPNDecoder
from voskit.networks.layers.maps import to_map, to_sequence
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory import EveryNthFrame, FrameBank
from voskit.networks.memory.layered import LayeredBank
from voskit.networks.memory.prototype_bank import PrototypeBank
from voskit.networks.models.aost import SLSTT, SLSTTLayer
from voskit.trainers.losses import (
    bootstrapped_cross_entropy,
    frame_loss,
    kept_fraction,
    soft_jaccard,
    supervised_losses,
)

Case = dict[str, Tensor]
SMALL = {"embed_dim": 32, "self_heads": 4, "attention_heads": 4, "ffn_dim": 128}


@pytest.fixture
def load(aost_goldens: Path):
    def read(name: str) -> Case:
        with np.load(aost_goldens / f"{name}.npz") as f:
            return {k: torch.from_numpy(f[k]) for k in f.files if f[k].dtype.kind in "fiub"}

    return read


@pytest.fixture(scope="module")
def whole(aost_goldens: Path, aot_goldens: Path, tmp_path_factory) -> Path:
    """A checkpoint of all three layers, laid out as published."""
    import fill

    path = tmp_path_factory.mktemp("weights") / "aost.pth"
    fill.write_checkpoint(aost_goldens / "keys" / "aost.json", path)
    return path


def take_weights(module: nn.Module, case: Case) -> nn.Module:
    module.load_state_dict({k.removeprefix("param."): v for k, v in case.items() if k.startswith("param.")})
    return module.eval()


def close(got: Tensor, want: Tensor, limit: float = 1e-4) -> None:
    """Within 1e-4 of the largest value; ``want`` may be [L, B, C] where ``got`` is [B, L, C]."""
    want = want.float()
    want = want.transpose(0, 1) if got.ndim == 3 and got.shape != want.shape else want
    assert got.shape == want.shape
    assert (got - want).abs().max() <= limit * max(1.0, float(want.abs().max()))


# ---- parts


@torch.no_grad()
def test_identities_gate_the_keys_of_each_head_and_are_added_to_the_values(load) -> None:
    case = load("components/id_fusion")
    layer = SLSTTLayer(get_model_config("aost", **SMALL))
    layer.linear_ID_KV.load_state_dict(
        {"weight": case["param.linear_ID_KV.weight"], "bias": case["param.linear_ID_KV.bias"]}
    )
    key, value, ids = (case[n].transpose(0, 1) for n in ("key", "value", "id_emb"))
    memory = layer.remember((key, value), ids)
    close(memory.key, case["K"])
    close(memory.value, case["V"])


@torch.no_grad()
def test_layer(load) -> None:
    case = load("components/layer")
    layer = take_weights(SLSTTLayer(get_model_config("aost", **SMALL)), case)
    size = tuple(case["size_2d"].tolist())
    x0, x1, ids, position, later = (case[n].transpose(0, 1) for n in ("x0", "x1", "id_emb", "pos", "fuse.id_emb"))
    out, state = layer(x0, position, size, (), None, ids)
    close(out, case["ref.out"])
    memory = layer.remember(state, ids)
    close(memory.key, case["ref.long.K"])
    close(memory.value, case["ref.long.V"])
    close(to_map(memory.key, size), case["ref.short.K"])
    out, state = layer(x1, position, size, [memory], memory)
    close(out, case["prop.out"])
    for got, name in zip(
        (*state, *layer.remember(state, later)), ("prop.curr.K", "prop.curr.V", "fuse.K", "fuse.V"), strict=True
    ):
        close(got, case[name])


@pytest.mark.parametrize("depth", (1, 2, 3))
@torch.no_grad()
def test_transformer_at_each_depth(load, monkeypatch, depth: int) -> None:
    case = load("components/slstt_three_layers")
    position = case["pos"].transpose(0, 1)  # not a sine here
    monkeypatch.setattr("voskit.networks.models.aot.sine_position", lambda *a: position)
    module = take_weights(SLSTT(get_model_config("aost", **SMALL)), case)
    size = tuple(case["size_2d"].tolist())
    x0, x1, ids, later = (case[n].transpose(0, 1) for n in ("x0", "x1", "id_emb", "fuse.id_emb"))
    reference = module(to_map(x0, size), (), (), ids)
    memory = [layer.remember(s, ids) for layer, s in zip(module.layers, reference.states, strict=True)][:depth]
    propagated = module(to_map(x1, size), [[m] for m in memory], memory)
    assert len(propagated.outputs) == len(propagated.states) == depth
    for i in range(depth):
        close(memory[i].key, case[f"ref.long.{i}.K"])
        close(memory[i].value, case[f"ref.long.{i}.V"])
        for result, name in ((reference, "ref"), (propagated, "prop")):
            close(result.outputs[i], case[f"{name}.out.{i}"])
            close(result.states[i][0], case[f"{name}.curr.{i}.K"])
            close(result.states[i][1], case[f"{name}.curr.{i}.V"])
        fused = module.layers[i].remember(propagated.states[i], later)
        close(fused.key, case[f"fuse.{i}.K"])
        close(fused.value, case[f"fuse.{i}.V"])


@pytest.mark.parametrize("align", (0, 1))
@torch.no_grad()
def test_decoder_has_an_input_for_each_depth(load, align: int) -> None:
    case = load(f"components/scalable_decoder_align{align}")
    shortcuts = [case[f"shortcut{i}"] for i in range(4)]
    decoder = ScalableFPNDecoder(3, 11, [s.shape[1] for s in shortcuts[:3]], 32, align_corners=bool(align))
    take_weights(decoder, case)
    for k in (1, 2, 3):
        close(decoder(torch.cat([case[f"input{i}"] for i in range(k + 1)], 1), shortcuts), case[f"out.depth{k}"])


@pytest.mark.parametrize("model", ("aost", "swinb_aost"))
@torch.no_grad()
def test_identity_embedding_is_normed_everywhere(load, aost_goldens: Path, aot_goldens: Path, model: str) -> None:
    import fill

    case = load("components/id_embedding")
    network = build_network(get_model_config(model)).eval()
    filled = fill.fill_state_dict(fill.read_entries(aost_goldens / "keys" / f"{model}.json"))
    network.load_state_dict({k: v for k, v in filled.items() if k.startswith(("patch_wise", "id_norm"))}, strict=False)
    mask = case["mask"] if model == "aost" else case["mask"][:128, :192]
    close(network.encode_ids(mask[None].int()), to_sequence(case[f"{model}.id_emb"]))


def test_losses_of_all_depths_and_their_gradients(load) -> None:
    from voskit.networks.models.base import Supervised

    case = load("components/depth_losses")
    fraction = kept_fraction(int(case["step"]), float(case["hard_mining_steps"]), float(case["top_k"]))
    totals = []
    for b in range(2):
        labels = case[f"label{b}"][None]
        logits = [case[f"depth{k}.logits{b}"].clone().requires_grad_() for k in (1, 2, 3)]
        for k, x in enumerate(logits):
            ce, jaccard = bootstrapped_cross_entropy(x, labels, fraction), soft_jaccard(x, labels)
            assert ce.item() == pytest.approx(case[f"depth{k + 1}.ce"][b].item(), rel=1e-5)
            assert jaccard.item() == pytest.approx(case[f"depth{k + 1}.jaccard"][b].item(), rel=1e-5)
            assert frame_loss(x, labels, fraction).item() == pytest.approx(case["depth_losses"][k, b].item(), rel=1e-5)
        weighted = [Supervised(2**k / 7, x) for k, x in enumerate(logits)]
        total = supervised_losses(weighted, labels, fraction)
        assert total.item() == pytest.approx(case["total"][b].item(), rel=1e-5)
        totals.append((total, logits))
    torch.cat([t for t, _ in totals]).mean().backward()
    for b, (_, logits) in enumerate(totals):
        for k, x in enumerate(logits):
            want = case[f"depth{k + 1}.grad{b}"]
            assert (x.grad - want).abs().max() <= 1e-5 * max(1.0, float(want.abs().max()))


@torch.no_grad()
def test_two_frames_step_by_step(load, whole: Path, aost_goldens: Path) -> None:
    """Every intermediate tensor of a reference frame and the next one, and the logits of all depths from one pass."""
    case = load("bisect/aost")
    network = build_model("aost", checkpoint=whole, device="cpu")
    with np.load(aost_goldens / "e2e" / "aost.npz") as f:
        name = str(f["clip"])
    with np.load(aost_goldens.parent / "aot" / "clips" / f"{name}.npz") as f:
        mask, frames = torch.from_numpy(f["labels"][0].astype(np.int32)), f["frames"][:2]
    features = [network.encode_image(prepare_image(frame, tuple(mask.shape))[None]) for frame in frames]
    ids = network.encode_ids(mask[None])
    close(ids, to_sequence(case["f0.id_emb"]) if case["f0.id_emb"].ndim == 4 else case["f0.id_emb"], 1e-3)
    reference = network.refer(features[0], ids)
    memory = network.remember(reference.states, ids)
    for i in range(3):
        close(memory[i].key, case[f"f0.memory.layer{i}.K"], 1e-3)
        close(memory[i].value, case[f"f0.memory.layer{i}.V"], 1e-3)
        close(reference.outputs[i], case[f"f0.decoder_norm{i}"], 1e-3)
    propagated = network.propagate(features[1], [[m] for m in memory], memory)
    for result, f, t in ((reference, features[0], 0), (propagated, features[1], 1)):
        supervised = network.supervise(result, f)
        assert [s.weight for s in supervised] == pytest.approx([1 / 7, 2 / 7, 4 / 7])
        for k, s in enumerate(supervised, 1):
            want = case[f"f{t}.logits_depth{k}"]
            close(s.logits[:, : want.shape[-3]], want.view(1, *want.shape[-3:]), 2e-4)


def test_values_of_the_configs_are_the_published_ones(aost_goldens: Path) -> None:
    models = json.loads((aost_goldens / "models.json").read_text())["models"]
    assert sorted(models) == sorted(models_with_depths())
    for name, model in models.items():
        config, published, derived = get_model_config(name), model["config"], model["derived"]
        assert config.depths[-1] == config.num_layers == published["MODEL_LSTT_NUM"] == derived["max_depth"]
        assert config.encoder == published["MODEL_ENCODER"]
        assert config.align_corners == published["MODEL_ALIGN_CORNERS"]
        assert config.train_long_term_gap == published["TRAIN_LONG_TERM_MEM_GAP"]
        assert config.long_term_gap == published["TEST_LONG_TERM_MEM_GAP"]
        assert config.max_objects == published["MODEL_MAX_OBJ_NUM"]
        assert (config.self_heads, config.attention_heads) == (derived["self_heads"], derived["att_heads"])
        assert (config.ffn_dim, config.window) == (derived["ffn_dim"], derived["local_window"])
        # the original starts all three from MobileNet's weights; the right file is that of the AOT of the same encoder
        assert config.encoder_weights == get_model_config(model["same_encoder_and_sizes_as"].split()[0]).encoder_weights


# ---- one checkpoint, every depth


@pytest.mark.parametrize("model", ("aost", "r50_aost", "swinb_aost"))
def test_parameters_at_each_depth_are_the_published_ones(aost_goldens: Path, model: str) -> None:
    keys = json.loads((aost_goldens / "keys" / f"{model}.json").read_text())
    for depth, row in keys["by_depth"].items():
        with torch.device("meta"):
            network = build_network(get_model_config(model, depth=int(depth)))
        assert sum(p.numel() for p in network.parameters()) == row["num_parameters"]
        assert len(network.state_dict()) == row["num_entries"]


@pytest.mark.parametrize("depth", (1, 2, 3))
def test_the_same_checkpoint_loads_at_every_depth(aost_goldens: Path, whole: Path, depth: int) -> None:
    keys = json.loads((aost_goldens / "keys" / "aost.json").read_text())
    network = build_network(get_model_config("aost", depth=depth))
    report = load_weights(network, read_checkpoint(whole))
    unused = tuple(keys["unused_prefixes_by_depth"].get(str(depth), ()))
    assert set(report.ignored) == {e[0] for e in keys["entries"] if unused and e[0].startswith(unused)}
    assert set(report.matched) == set(network.state_dict())
    assert not report.absent
    assert ("of depths above" in str(report)) == (depth < 3)


def test_unused_depths_are_reported(whole: Path, caplog) -> None:
    with caplog.at_level(logging.INFO):
        build_model("aost", checkpoint=whole, depth=2, device="cpu")
    assert "38 ignored (of depths above 2: " in caplog.text


def test_tensors_that_only_look_like_those_of_unused_depths_are_refused(whole: Path, tmp_path: Path) -> None:
    state = torch.load(whole, weights_only=True)["state_dict"]
    for name, x in (
        ("LSTT.layers.2.extra.weight", torch.ones(2)),
        ("LSTT.layers.3.norm1.weight", torch.ones(256)),
        ("LSTT.layers.2.norm1.bias", torch.ones(255)),
        ("decoder.conv_in.2.conv.weight", torch.ones(256, 768, 1, 1)),
    ):
        torch.save({"state_dict": state | {name: x}}, tmp_path / "odd.pth")
        with pytest.raises(ValueError, match=rf"1 tensors are unknown \({name}\)"):
            build_model("aost", checkpoint=tmp_path / "odd.pth", depth=1, device="cpu")


def test_a_missing_tensor_of_a_used_depth_is_named(whole: Path, tmp_path: Path) -> None:
    state = torch.load(whole, weights_only=True)["state_dict"]
    del state["LSTT.layers.1.linear_QV.bias"]
    torch.save({"state_dict": state}, tmp_path / "less.pth")
    with pytest.raises(ValueError, match=r"1 tensors are missing \(LSTT.layers.1.linear_QV.bias\)"):
        build_model("aost", checkpoint=tmp_path / "less.pth", depth=2, device="cpu")


@pytest.mark.thorough
def test_a_file_of_a_lower_depth_says_so(tmp_path: Path) -> None:
    save_weights(build_model("aost", depth=2, device="cpu"), tmp_path / "two.safetensors")
    assert build_model("aost", checkpoint=tmp_path / "two.safetensors", device="cpu").config.depths == (1, 2)
    with pytest.raises(ValueError, match=r"tensors are missing .*; it was written with depth=2"):
        build_model("aost", checkpoint=tmp_path / "two.safetensors", depth=3, device="cpu")


def test_depths_that_a_model_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="field 'depth' of AOST must be 1 to 3, got 4"):
        get_model_config("aost", depth=4)
    with pytest.raises(ValueError, match="'depth' of R50AOST must be at least 1"):
        get_model_config("r50_aost", depth=0)
    assert get_model_config("aost").depths == (1, 2, 3)
    assert get_model_config("aost", depth=2).depths == (1, 2)
    assert get_model_config("aotl").depths == ()


# ---- memory whose layers hold different frames


def part(value: float) -> MemoryPart:
    return MemoryPart(torch.full((1, 2, 3), value), torch.full((1, 2, 3), -value))


def test_uses_are_counted_for_the_queries_that_were_read_with(monkeypatch) -> None:
    """Keys of AOST are gated queries: the prototypes' uses are not to be counted with these."""
    torch.manual_seed(0)
    read, counted = [], []
    monkeypatch.setattr(PrototypeBank, "count_usage", lambda self, queries: counted.extend(queries))
    segmenter = VideoSegmenter(build_model("aost", device="cpu", enable_long_term=True), long_term_gap=1)
    remember = segmenter._network.remember
    segmenter._network.remember = lambda states, ids: read.append([s[0] for s in states]) or remember(states, ids)
    for t, frame in enumerate(moving_frames(3)):
        segmenter.step(frame, squares(1) if t == 0 else None)
    predicted = [query for queries in read[1:] for query in queries]
    assert len(counted) == len(predicted) == 2 * 3
    assert all(torch.equal(a, b) for a, b in zip(counted, predicted, strict=True))


def test_layers_keep_what_they_were_given() -> None:
    bank = LayeredBank([FrameBank(EveryNthFrame(2, max_frames=2)) for _ in range(3)])
    bank.write([part(1), part(2), part(3)], 0, reference=True)
    for frame, depth in ((2, 3), (4, 1), (6, 1)):
        bank.write([part(10 * frame + i) for i in range(depth)], frame)
    assert bank.frames == [[0, 6], [0, 2], [0, 2]]
    assert [p.key[0, ::2, 0].tolist() for p in bank.read()] == [[1, 60], [2, 21], [3, 22]]
    assert (len(bank), bank.groups) == (2, 1)
    assert bank.due(8)
    assert not bank.due(7)
    bank.clear()
    assert bank.nbytes == 0
