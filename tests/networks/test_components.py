"""Single modules against numbers of the original, on random input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from voskit.configs import get_model_config
from voskit.networks.decoders.fpn import FPNDecoder
from voskit.networks.engines import ObjectSlots, Prediction
from voskit.networks.layers.attention import (
    GatedLocalAttention,
    GatedMemoryAttention,
    GatedSelfAttention,
    LocalAttention,
    MemoryAttention,
    SelfAttention,
)
from voskit.networks.layers.maps import to_map, to_sequence
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.layers.norms import DropPath, FrozenBatchNorm, GroupNormGELUDepthwise
from voskit.networks.layers.position import sine_position
from voskit.networks.models.aot import LSTT
from voskit.networks.models.deaot import DualBranchGPM

Case = dict[str, Tensor]


@pytest.fixture
def load(aot_goldens: Path):
    def read(name: str) -> Case:
        with np.load(aot_goldens / "components" / f"{name}.npz") as f:
            return {k: torch.from_numpy(f[k]) for k in f.files}

    return read


def take_weights(module: nn.Module, case: Case, prefix: str = "param.") -> nn.Module:
    module.load_state_dict({k.removeprefix(prefix): v for k, v in case.items() if k.startswith(prefix)}, strict=True)
    return module.eval()


def close(got: Tensor, want: Tensor) -> None:
    """Within 1e-4 of the largest value; ``want`` may be [L, B, C] where ``got`` is [B, L, C]."""
    want = want.transpose(0, 1) if got.ndim == 3 and got.shape != want.shape else want
    assert got.shape == want.shape
    assert (got - want).abs().max() <= 1e-4 * max(1.0, float(want.abs().max()))


def sequences(case: Case, *names: str) -> list[Tensor]:
    return [case[n].transpose(0, 1) for n in names]


@torch.no_grad()
def test_self_attention(load) -> None:
    case = load("attention_self")
    module = take_weights(SelfAttention(32, int(case["num_head"])), case)
    close(module(*sequences(case, "Q", "K", "V")), case["out"].transpose(0, 1))


@torch.no_grad()
def test_memory_attention(load) -> None:
    case = load("attention_memory")
    module = take_weights(MemoryAttention(32, int(case["num_head"])), case)
    q, k, v = sequences(case, "Q", "K", "V")
    close(module(q, [MemoryPart(k, v)], (1, q.shape[1])), case["out"].transpose(0, 1))


@torch.no_grad()
def test_memory_in_parts_serves_each_group_from_its_own(load) -> None:
    case = load("attention_memory")
    module = take_weights(MemoryAttention(32, int(case["num_head"])), case)
    q, k, v = sequences(case, "Q", "K", "V")
    parts = [MemoryPart(k[:1], v[:1]), MemoryPart(k[1:], v[1:])]
    close(module(q, parts, (1, q.shape[1])), case["out"].transpose(0, 1))


@torch.no_grad()
def test_feed_forward_activation(load) -> None:
    case = load("ffn_gn_gelu_dwconv")
    module = take_weights(GroupNormGELUDepthwise(64), case)
    close(module(*sequences(case, "x"), tuple(case["size_2d"].tolist())), case["out"].transpose(0, 1))


@pytest.mark.parametrize("i", range(3))
@torch.no_grad()
def test_local_attention(load, i: int) -> None:
    case = load("local_attention")
    module = take_weights(LocalAttention(32, int(case["num_head"]), 15), case)
    q, k, v = (to_sequence(case[f"{n}{i}"]) for n in "qkv")
    close(module(q, MemoryPart(k, v), tuple(case["sizes"][i].tolist())), case[f"out{i}"].transpose(0, 1))


@pytest.mark.parametrize("i", range(3))
@pytest.mark.parametrize("heads", (1, 2))
@torch.no_grad()
def test_gated_local_attention(load, heads: int, i: int) -> None:
    case = load(f"local_gated_propagation_h{heads}")
    key, value = case["q0"].shape[1], case["v0"].shape[1]
    module = take_weights(GatedLocalAttention(key, value, case["out0"].shape[2], heads, 15), case)
    q, k, v = (to_sequence(case[f"{n}{i}"]) for n in "qkv")
    gate = case[f"u{i}"].transpose(0, 1)
    size = tuple(case["sizes"][i].tolist())
    close(module(q, MemoryPart(k, v), gate, size), case[f"out{i}"].transpose(0, 1))


@pytest.mark.parametrize("heads", (1, 2))
@torch.no_grad()
def test_gated_memory_attention(load, heads: int) -> None:
    case = load(f"gated_propagation_memory_h{heads}")
    module = take_weights(GatedMemoryAttention(case["V"].shape[2], case["out"].shape[2], heads), case)
    q, k, v, gate = sequences(case, "Q", "K", "V", "U")
    out = module(q, [MemoryPart(k, v)], gate, tuple(case["size_2d"].tolist()))
    close(out, case["out"].transpose(0, 1))


@pytest.mark.parametrize("heads", (1, 2))
@torch.no_grad()
def test_gated_self_attention(load, heads: int) -> None:
    case = load(f"gated_propagation_self_h{heads}")
    dim = case["X"].shape[2] // 2
    key, value = case["param.linear_QK.bias"].shape[0], case["param.linear_V1.bias"].shape[0]
    module = take_weights(GatedSelfAttention(dim, key, value, heads), case)
    visual, ids = case["X"].transpose(0, 1).split(dim, -1)
    close(module(visual, ids, tuple(case["size_2d"].tolist())), case["out"].transpose(0, 1))


@torch.no_grad()
def test_transformer_of_aot(load) -> None:
    case = load("lstt_two_layers")
    config = get_model_config("aots", embed_dim=32, self_heads=4, attention_heads=4, ffn_dim=128)
    module = take_weights(LSTT(config), case)
    size = tuple(case["size_2d"].tolist())
    x0, x1, ids, position = sequences(case, "x0", "x1", "id_emb", "pos")
    close(sine_position(*size, 32, torch.device("cpu")), position[:1])
    reference = module(to_map(x0, size), (), (), ids)
    memory = [layer.remember(s, ids) for layer, s in zip(module.layers, reference.states, strict=True)]
    propagated = module(to_map(x1, size), [[m] for m in memory], memory)
    for i in range(2):
        close(memory[i].key, case[f"ref.long.{i}.0"].transpose(0, 1))
        close(memory[i].value, case[f"ref.long.{i}.1"].transpose(0, 1))
        for result, name in ((reference, "ref"), (propagated, "prop")):
            close(result.outputs[i], case[f"{name}.out.{i}"].transpose(0, 1))
            for j, state in enumerate(result.states[i]):
                close(state, case[f"{name}.curr.{i}.{j}"].transpose(0, 1))
    fused = module.layers[0].remember(propagated.states[0], ids)
    close(fused.key, case["fuse.layer0.K"].transpose(0, 1))
    close(fused.value, case["fuse.layer0.V"].transpose(0, 1))


@pytest.mark.parametrize("heads", (1, 2))
@torch.no_grad()
def test_transformer_of_deaot(load, heads: int) -> None:
    case = load(f"gpm_two_layers_h{heads}")
    config = get_model_config("deaots", embed_dim=32, self_heads=heads, attention_heads=heads)
    module = take_weights(DualBranchGPM(config), case)
    size = tuple(case["size_2d"].tolist())
    x0, x1, ids = sequences(case, "x0", "x1", "id_emb")
    reference = module(to_map(x0, size), (), (), ids)
    memory = [layer.remember(s, ids) for layer, s in zip(module.layers, reference.states, strict=True)]
    propagated = module(to_map(x1, size), [[m] for m in memory], memory)
    for i in range(2):
        close(memory[i].key, case[f"ref.long.{i}.0"].transpose(0, 1))
        value = torch.cat([case[f"ref.long.{i}.1"], case[f"ref.long.{i}.3"]], -1)
        close(memory[i].value, value.transpose(0, 1))
    for result, name in ((reference, "ref"), (propagated, "prop")):
        close(result.outputs[0], case[f"{name}.out.1"].transpose(0, 1))
        for i, slots in enumerate(((0, 1), (0, 1, 3))):
            for state, slot in zip(result.states[i], slots, strict=True):
                close(state, case[f"{name}.curr.{i}.{slot}"].transpose(0, 1))
    for i in range(2):
        fused = module.layers[i].remember(propagated.states[i], ids).value.chunk(2, -1)[1]
        close(fused, case[f"fuse.layer{i}.ID_V"].transpose(0, 1))


@pytest.mark.parametrize("align", (0, 1))
@pytest.mark.parametrize("all_layers", (0, 1))
@torch.no_grad()
def test_decoder(load, align: int, all_layers: int) -> None:
    case = load(f"decoder_align{align}_intermediate{all_layers}")
    inputs = [case[k] for k in sorted(case) if k.startswith("input")]
    x = torch.cat(inputs, 1) if all_layers else inputs[-1]
    if all_layers == 0 and x.shape[1] != case["param.conv_in.conv.weight"].shape[1]:
        pytest.fail("the golden's input doesn't fit the decoder")
    shortcuts = [case[f"shortcut{i}"] for i in range(4)]
    hidden = case["param.conv_in.conv.bias"].shape[0]
    module = FPNDecoder(x.shape[1], 11, [s.shape[1] for s in shortcuts[:3]], hidden, align_corners=bool(align))
    close(take_weights(module, case)(x, shortcuts), case["out"])


@pytest.mark.parametrize("model", ("aott", "deaott", "swinb_aotl", "swinb_deaotl"))
@torch.no_grad()
def test_identity_embedding_gives_nothing_to_invalid_ids(load, aot_goldens: Path, model: str) -> None:
    import fill

    from voskit.networks import build_network

    case = load("id_embedding")
    network = build_network(get_model_config(model)).eval()
    weights = fill.fill_state_dict(fill.read_entries(aot_goldens / "keys" / f"{model}.json"))
    network.load_state_dict({k: v for k, v in weights.items() if k.startswith(("patch_wise", "id_norm"))}, strict=False)
    mask = case["mask"] if not model.startswith("swin") else case["mask"][:128, :192]
    want = to_sequence(case[f"{model}.id_emb"])
    close(network.encode_ids(mask[None].int()), want)


@pytest.mark.parametrize("size", ((9, 13), (1, 5), (31, 54)))
def test_position_embedding(load, size: tuple[int, int]) -> None:
    want = load("position_embedding")[f"{size[0]}x{size[1]}"]
    close(sine_position(*size, 256, torch.device("cpu")), to_sequence(want))


def test_identity_groups_are_split_and_merged_as_published(load) -> None:
    case = load("multi_engine")
    count = int(case["objects"])
    slots = ObjectSlots(10)
    slots.add(range(1, count + 1))
    assert slots.groups == 3
    mask = case["mask"][0, 0].int()
    split = slots.split_groups(slots.to_slots(mask))
    for i in range(3):
        assert torch.equal(split[i].float(), case[f"mask_engine{i}"][0, 0].float())
    logits = torch.cat([case[f"logits_engine{i}"] for i in range(3)])
    size = (logits.shape[2], logits.shape[3])
    merged = case["merged_logits"].softmax(1)[0]
    prediction = Prediction(logits, slots.slots, size, align_corners=True)
    close(prediction.probabilities(), merged[: count + 1])
    assert torch.equal(prediction.argmax().long(), merged.argmax(0))


def test_stochastic_depth_and_frozen_norms_are_torchvision_s() -> None:
    from torchvision import ops

    x = torch.randn(6, 4, 5, 7)
    results = []
    for layer in (DropPath(0.4), ops.StochasticDepth(0.4, "row")):
        torch.manual_seed(3)
        results.append(layer.train()(x))
        assert layer.eval()(x) is x
    assert torch.equal(*results) and (results[0] == 0).any()
    norm = torch.nn.BatchNorm2d(4)
    norm(torch.randn(8, 4, 3, 3) * 3 + 1)  # statistics
    own, other = FrozenBatchNorm(4), ops.FrozenBatchNorm2d(4)
    for frozen in (own, other):
        frozen.load_state_dict(norm.state_dict())  # a file of a batch norm has its count of batches, too
    assert torch.allclose(own(x), other(x), atol=1e-6) and list(own.state_dict()) == list(other.state_dict())


@pytest.mark.parametrize("heads", (1, 2))
@pytest.mark.parametrize(("top_k", "penalty"), ((None, None), (20, None), (20, 4.0)))
def test_groups_one_by_one_equal_the_batch(
    heads: int, top_k: int | None, penalty: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inference on a CPU takes groups one by one, and reads the visual values that all share once."""
    calls = []
    halves = GatedLocalAttention.propagate_halves
    monkeypatch.setattr(GatedLocalAttention, "propagate_halves", lambda *args: (calls.append(1), halves(*args))[1])
    fields = {"embed_dim": 32, "self_heads": heads, "attention_heads": heads}
    config = get_model_config("deaots", top_k=top_k, distance_penalty=penalty, **fields)
    torch.manual_seed(0)
    module, decoder = DualBranchGPM(config).eval(), FPNDecoder(64, 4, (8, 16, 24), 32).eval()
    maps = [torch.randn(1, channels, *size) for channels, size in ((8, (17, 21)), (16, (9, 11)), (24, (5, 6)))]
    frames, ids = torch.randn(3, 1, 32, 5, 6), torch.randn(2, 3, 30, 32)

    def run() -> list[Tensor]:
        memory = []
        for frame, own in zip(frames, ids, strict=False):
            states = module(frame, (), (), own).states
            memory.append([layer.remember(s, own) for layer, s in zip(module.layers, states, strict=True)])
        long_term = [
            [MemoryPart(*(torch.cat(x, 1) for x in zip(*parts, strict=True)))] for parts in zip(*memory, strict=True)
        ]
        propagated = module(frames[2], long_term, memory[1])
        out = propagated.outputs[0]
        return [out, decoder(to_map(out, (5, 6)), maps), *propagated.states[1]]

    batch = run()
    assert not calls
    with torch.no_grad():
        one_by_one = run()
    assert len(calls) == (3 if heads == 1 else 0)  # in the first layer
    for x, y in zip(one_by_one, batch, strict=True):
        assert x.shape == y.shape and torch.allclose(x, y, atol=1e-5)
