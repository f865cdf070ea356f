"""XMem against numbers of the original: tensors, components, the memories of a video."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from voskit.configs import get_model_config
from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model, build_network
from voskit.networks.checkpoints import models_that_fit, read_checkpoint
from voskit.networks.layers.maps import to_map, to_sequence
from voskit.networks.memory import EveryNthFrame
from voskit.networks.memory.matching import AnisotropicMatching
from voskit.networks.memory.prototypes import PrototypeMemory, PrototypePolicy
from voskit.networks.ops.affinity import anisotropic_similarity
from voskit.networks.ops.aggregation import aggregate
from voskit.networks.ops.top_k import add_up_weights, read_sparse, spread_weights, top_k_weights

Case = dict[str, Tensor]
VARIANTS = {"default": "xmem", "no_sensory": "xmem_no_sensory", "single_object": "xmem_s0"}


@pytest.fixture
def load(xmem_goldens: Path):
    def read(name: str) -> Case:
        with np.load(xmem_goldens / f"{name}.npz") as f:
            return {k: torch.from_numpy(f[k]) if f[k].dtype.kind != "U" else json.loads(str(f[k])) for k in f.files}

    return read


@pytest.fixture(scope="module")
def network(xmem_weights) -> nn.Module:
    return build_model("xmem", checkpoint=xmem_weights("default"), device="cpu")


def close(got: Tensor, want: Tensor, tolerance: float = 1e-4) -> None:
    """Within a share of the value and of the largest one."""
    assert got.shape == want.shape
    gap = (got - want).abs() - tolerance * want.abs()
    assert gap.max() <= tolerance * float(want.abs().max())


def normalised(frame: Tensor) -> Tensor:
    x = (frame.float() / 255 - torch.tensor((0.485, 0.456, 0.406))) / torch.tensor((0.229, 0.224, 0.225))
    return x.permute(2, 0, 1)[None]


@pytest.mark.parametrize(("variant", "name"), VARIANTS.items())
def test_tensors_are_the_published_ones(xmem_goldens: Path, variant: str, name: str) -> None:
    keys = json.loads((xmem_goldens / "keys" / f"{variant}.json").read_text())
    with torch.device("meta"):
        network = build_network(get_model_config(name))
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == {e[0]: e[1] for e in keys["entries"]}
    assert sum(p.numel() for p in network.parameters()) == keys["num_parameters"]


def test_config_has_the_published_values(xmem_goldens: Path) -> None:
    facts = json.loads((xmem_goldens / "facts.json").read_text())
    config = get_model_config("xmem")
    published = facts["inference_defaults"]
    assert config.enable_long_term is not published.pop("disable_long_term")
    assert config.short_edge == published.pop("size")
    other = {"dataset", "split", "save_all", "benchmark", "save_scores", "flip"}
    for name in published.keys() - other:
        assert getattr(config, name) == published[name], name
    for name in ("key_dim", "value_dim", "hidden_dim"):
        assert getattr(config, name) == facts["network"][name]


def test_inference_fields_are_set_by_keyword() -> None:
    config = get_model_config("xmem", mem_every=3, top_k=20, enable_long_term=False)
    assert (config.mem_every, config.top_k, config.long_term_gap) == (3, 20, 3)
    assert get_model_config("xmem", long_term_gap=7).mem_every == 7
    with pytest.raises(ValueError, match="two names of one field"):
        get_model_config("xmem", long_term_gap=7, mem_every=3)
    with pytest.raises(ValueError, match="'num_prototype': did you mean num_prototypes"):
        get_model_config("xmem", num_prototype=3)
    with pytest.raises(ValueError, match=r"min_mid_term_frames \(5\) must be smaller than max_mid_term_frames \(5\)"):
        get_model_config("xmem", max_mid_term_frames=5)
    with pytest.raises(ValueError, match=r"num_prototypes \(128\) must not be larger"):
        get_model_config("xmem", max_long_term_elements=100)


@pytest.mark.thorough
def test_single_object_file_in_a_network_of_several_objects(xmem_weights, caplog) -> None:
    path = xmem_weights("single_object")
    given = read_checkpoint(path).state["value_encoder.conv1.weight"]
    with caplog.at_level("INFO"):
        tested = build_model("xmem", checkpoint=path, device="cpu")
    assert "single-object, a channel of zeros added: value_encoder.conv1.weight" in caplog.text
    weight = tested.value_encoder.conv1.weight
    assert torch.equal(weight[:, :4], given)
    assert not weight[:, 4].any()
    trained = build_model("xmem", checkpoint=path, device="cpu", added_channel="orthogonal")
    added = trained.value_encoder.conv1.weight[:, 4].flatten(1)
    assert torch.allclose(added.T @ added, torch.eye(49), atol=1e-5)
    own = build_model("xmem_s0", checkpoint=path, device="cpu")
    assert torch.equal(own.value_encoder.conv1.weight, given)


def test_a_file_of_another_variant_names_those_that_fit(xmem_weights) -> None:
    path = xmem_weights("no_sensory")
    assert models_that_fit(read_checkpoint(path).state) == ["xmem_no_sensory"]
    with pytest.raises(ValueError, match=r"doesn't fit xmem: .*it fits xmem_no_sensory"):
        build_model("xmem", checkpoint=path, device="cpu")


@torch.no_grad()
def test_affinity(load) -> None:
    case = load("components/affinity")
    key, shrinkage, query, selection = (
        case[n].transpose(1, 2) for n in ("memory_key", "memory_shrinkage", "query_key", "query_selection")
    )
    similarity = anisotropic_similarity(key, shrinkage, query, selection)
    close(similarity.transpose(1, 2), case["similarity_shrink_select"], 1e-5)
    close(
        anisotropic_similarity(key, torch.ones_like(shrinkage), query, selection).transpose(1, 2),
        case["similarity_select"],
        1e-5,
    )
    close(similarity.softmax(2).transpose(1, 2), case["affinity_full"], 1e-5)
    weights, indices = top_k_weights(similarity, int(case["top_k"]))
    dense = spread_weights(weights[0], indices[0], key.shape[1])[None]
    close(dense.transpose(1, 2), case["affinity_topk"], 1e-5)
    close(add_up_weights(weights[0], indices[0], key.shape[1])[None], case["usage"], 1e-5)
    value = case["memory_value"].transpose(1, 2)
    close(read_sparse(weights[0], indices[0], value).transpose(1, 2), case["readout_topk"], 1e-5)
    close((dense[0] @ value).transpose(1, 2), case["readout_topk"], 1e-5)
    close((similarity.softmax(2) @ value).transpose(1, 2), case["readout_full"], 1e-5)


def test_more_neighbors_than_elements_means_all_elements() -> None:
    weights, indices = top_k_weights(torch.randn(1, 4, 6), 30)
    assert weights.shape == indices.shape == (1, 4, 6)


def test_soft_aggregation(load) -> None:
    case = load("components/aggregate")
    logits = aggregate(case["prob_in"], dim=1)
    close(logits, case["logits"], 1e-5)
    close(logits.softmax(1), case["prob"], 1e-5)


@pytest.mark.parametrize("variant", ["default", "no_sensory"])
@torch.no_grad()
def test_one_frame_through_the_network(load, xmem_weights, variant: str) -> None:
    case = {**load("components/network_default"), **load(f"components/network_{variant}")}
    network = build_model(VARIANTS[variant], checkpoint=xmem_weights(variant), device="cpu")
    seen: dict[str, list[Tensor]] = {}
    for name in [n.removeprefix("act:") for n in case if n.startswith("act:")]:
        module = network.get_submodule(name)
        module.register_forward_hook(lambda _, __, out, name=name: seen.setdefault(name, []).append(out))
    image, masks = normalised(case["frame"]), case["mask"][0]
    hidden = case["hidden_in"][0] if variant == "default" else None
    features = network.encode_image(image)
    for name, x in zip(("f4", "f8", "f16"), features.maps, strict=True):
        close(x, case[name])
    for name in ("key", "shrinkage", "selection"):
        close(getattr(features, name), case[name])
    value, after = network.encode_value(image, features, masks, hidden, True)
    close(value, case["value"][0])
    logits, updated = network.decode(features, case["memory_readout"][0], hidden, True)
    together = aggregate(logits.sigmoid())
    close(together, case["logits"][0])
    close(together.softmax(0), case["prob"][0])
    own = load(f"components/network_{variant}")
    for name in own.keys() & {f"act:{n}" for n in seen}:
        maps = torch.cat(seen[name.removeprefix("act:")])  # objects may be decoded one by one
        close(maps, own[name].reshape(maps.shape))
    if variant == "default":
        close(after, case["hidden_after_encode_value"][0])
        close(updated, case["hidden_after_segment"][0])
        assert network.encode_value(image, features, masks, hidden, False)[1] is hidden
        assert network.decode(features, case["memory_readout"][0], hidden, False)[1] is hidden


def filled_memory(case: Case) -> PrototypeMemory:
    """Feed a memory with a case's frames, comparing what each of them reads and how many elements there are."""
    config = get_model_config("xmem").override(**{k: v for k, v in case["config_json"].items() if k != "hidden_dim"})
    memory = PrototypeMemory(AnisotropicMatching(), EveryNthFrame(1), PrototypePolicy.of(config))
    for t, (objects, working, prototypes) in enumerate(case["trace_nobj_work_long"].tolist()):
        columns = {n: to_sequence(case[f"{n}_{t}"]) for n in ("key", "shrinkage", "selection")}
        if t:
            readout = to_map(memory.read(columns, config.top_k), (4, 5))
            close(readout, case[f"readout_{t}"])
        memory.write({**columns, "value": to_sequence(case[f"value_{t}"][0])}, t, reference=t == 0)
        assert len(memory.begins) == objects
        assert len(memory.frames) * 20 == working
        assert memory.prototypes == prototypes
    return memory


@torch.no_grad()
def test_working_and_long_term_memory(load) -> None:
    case = load("components/memory_longterm")
    memory = filled_memory(case)
    long = memory.prototypes
    names = {"key": "key", "shrinkage": "shrinkage", "use": "use_count", "life": "life_count"}
    for ours, theirs in names.items():
        close(memory[ours][0, long:].T, case[f"work_{theirs}"][0])
        # prototypes may stand in any order
        mine, want = memory[ours][0, :long], case[f"long_{theirs}"][0].T
        assert torch.allclose(mine.sort(0).values, want.sort(0).values, atol=1e-4)
    close(memory["value"][:, long:].transpose(1, 2), case["work_value_group0"])
    mine, want = memory["value"][:, :long], case["long_value_group0"].transpose(1, 2)
    assert torch.allclose(mine.sort(1).values, want.sort(1).values, atol=1e-4)


@torch.no_grad()
def test_objects_that_come_later_read_from_their_first_frame_on(load) -> None:
    case = load("components/memory_groups")
    memory = filled_memory(case)
    assert memory.begins == [0, 0, 2]
    close(memory["key"].transpose(1, 2), case["work_key"])
    close(memory["value"][:2].transpose(1, 2), case["work_value_group0"])
    close(memory["value"][2:, 40:].transpose(1, 2), case["work_value_group1"])


@pytest.mark.thorough
def test_memories_of_a_long_clip_are_the_originals(load, network, xmem_goldens: Path) -> None:
    """Sizes after each frame, which candidates become prototypes, and use counts at the end."""
    case = load("clips/longterm_a")
    config = json.loads((xmem_goldens / "clips.json").read_text())["longterm_a"]["config"]
    fields = {k: v for k, v in config.items() if k not in ("flip", "size")}
    network.config, before = network.config.override(**fields), network.config
    try:
        segmenter = VideoSegmenter(network, short_edge=-1)
    finally:
        network.config = before
    memory = segmenter._engines[0]._memory
    chosen = []
    policy = memory.prototype_policy
    pick = type(policy).chosen
    write = memory.write
    for t, (frame, (_, working, prototypes)) in enumerate(
        zip(case["frames"].numpy(), case["memory_trace"].tolist(), strict=True)
    ):
        object.__setattr__(policy, "chosen", lambda usage: chosen.append(pick(policy, usage)) or chosen[-1])
        if t == len(case["frames"]) - 1:
            memory.write = lambda *_, **__: None  # the original doesn't remember the last frame
        segmenter.step(frame, mask=case["masks"][0].numpy() if t == 0 else None)
        assert (len(memory.frames) * 48, memory.prototypes) == (working, prototypes), t
    memory.write = write
    assert [set(x.tolist()) for x in chosen] == [set(x) for x in case["prototype_indices"].tolist()]
    for part, own in (("work", slice(100, None)), ("long", slice(0, 100))):
        mine = torch.stack([memory[n][0, own, 0] for n in ("use", "life")])
        want = case[f"{part}_usage_final"]
        order = (slice(None),) if part == "work" else None
        mine, want = (mine, want) if order else (mine.sort(1).values, want.sort(1).values)
        assert torch.allclose(mine, want, rtol=1e-3, atol=1e-3)
