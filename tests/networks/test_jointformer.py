"""JointFormer against numbers of the original: tensors, components, the memory of a video."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from voskit.configs import get_model_config
from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model, build_network, load_encoder, save_weights
from voskit.networks.checkpoints import models_that_fit, read_checkpoint
from voskit.networks.layers.joint_attention import JointBlock, MemoryReading
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.layers.position import resize_table, sine_cosine_table
from voskit.networks.memory import FirstAndLatest, StoredFrame
from voskit.networks.models.jointformer.convmae import ConvBlock, PatchEmbed
from voskit.networks.models.jointformer.network import memory_readings
from voskit.networks.ops.aggregation import aggregate

Case = dict[str, Tensor]
SMALL = {"update_block_depth": 1, "enhance_block_depth": 1}


@pytest.fixture
def load(jointformer_goldens: Path):
    def read(name: str) -> Case:
        with np.load(jointformer_goldens / f"{name}.npz") as f:
            return {k: torch.from_numpy(f[k]).float() for k in f.files}

    return read


@pytest.fixture(scope="module")
def network(jointformer_weights) -> nn.Module:
    return build_model("jointformer", checkpoint=jointformer_weights("default"), device="cpu", topk_num=7)


def close(got: Tensor, want: Tensor, tolerance: float = 1e-4) -> None:
    """Within a share of the largest value."""
    assert got.shape == want.shape
    assert (got - want).abs().max() <= tolerance * float(want.abs().max())


def part_of(module: nn.Module, case: Case, prefix: str) -> nn.Module:
    module.load_state_dict({k.removeprefix(prefix): v for k, v in case.items() if k.startswith(prefix)})
    return module


def normalised(frames: Tensor) -> Tensor:
    x = (frames.float() / 255 - torch.tensor((0.485, 0.456, 0.406))) / torch.tensor((0.229, 0.224, 0.225))
    return x.permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("variant", "name", "fields"),
    [
        ("default", "jointformer", {}),
        ("single_object", "jointformer_s0", {}),
        ("update3_enhance2", "jointformer", {"update_block_depth": 3, "enhance_block_depth": 2}),
    ],
)
def test_tensors_are_the_published_ones(jointformer_goldens: Path, variant: str, name: str, fields: dict) -> None:
    keys = json.loads((jointformer_goldens / "keys" / f"{variant}.json").read_text())
    with torch.device("meta"):
        network = build_network(get_model_config(name, **fields))
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == {e[0]: e[1] for e in keys["entries"]}
    assert sum(p.numel() for p in network.parameters()) == keys["num_parameters"]


def test_config_has_the_published_values(jointformer_goldens: Path) -> None:
    facts = json.loads((jointformer_goldens / "facts.json").read_text())
    config = get_model_config("jointformer")
    published = facts["inference_defaults"]
    assert config.short_edge == published.pop("size")
    for name in published.keys() - {"dataset", "split", "save_all", "benchmark", "save_scores", "flip"}:
        assert getattr(config, name) == published[name], name
    names = {"D17": "davis2017", "Y18": "youtubevos2018", "Y19": "youtubevos2019", "MOSE": "mosev1"}
    for name, want in facts["evaluation_settings"].items():
        dataset = name.split()[0]
        own = config.override(**config.dataset_settings[names.get(dataset, dataset.lower())])
        same = want.keys() - {"checkpoints", "size"}
        assert {k: getattr(own, k) for k in same} == {k: want[k] for k in same}, name


@pytest.mark.thorough
def test_depths_of_a_file_are_found(jointformer_weights, tmp_path) -> None:
    network = build_model("jointformer", checkpoint=jointformer_weights("update3_enhance2"), device="cpu")
    assert (network.config.update_block_depth, network.config.enhance_block_depth) == (3, 2)
    own = tmp_path / "own.safetensors"
    save_weights(network, own, torch.float16)
    assert build_model("jointformer", checkpoint=own, device="cpu").config.update_block_depth == 3
    assert models_that_fit(read_checkpoint(own).state) == ["jointformer"]
    with pytest.raises(ValueError, match="12 tensors are unknown"):
        build_model("jointformer", checkpoint=own, device="cpu", update_block_depth=2)


@pytest.mark.thorough
def test_single_object_file_in_a_network_of_several_objects(jointformer_weights, caplog) -> None:
    path = jointformer_weights("single_object")
    name = "convmae.patch_embed1_memory.proj.weight"
    given = read_checkpoint(path).state[name]
    with caplog.at_level("INFO"):
        tested = build_model("jointformer", checkpoint=path, device="cpu").get_parameter(name)
    assert f"single-object, a channel of zeros added: {name}" in caplog.text
    assert torch.equal(tested[:, :4], given)
    assert not tested[:, 4].any()
    trained = build_model("jointformer", checkpoint=path, device="cpu", added_channel="normal").get_parameter(name)
    assert 0.01 < trained[:, 4].std() < 0.03


def test_weights_of_the_encoder(tmp_path) -> None:
    """A ConvMAE-base file becomes both stems, and its last blocks also those of the tokens."""
    network = build_model("jointformer", device="cpu")
    encoder = network.convmae
    own = encoder.state_dict()
    new = ("patch_embed1_", "patch_embed4_", "blocks4.", "blocks5.", "cls_token", "pos_embed")
    published = {k: torch.randn_like(v) for k, v in own.items() if not k.startswith(new)}
    published |= {f"patch_embed1.{k}": torch.randn(256) for k in ("proj.bias", "norm.weight", "norm.bias")}
    published["patch_embed1.proj.weight"] = torch.randn(256, 3, 4, 4)
    published["pos_embed"] = torch.randn(1, 196, 768)
    torch.save({"model": published}, tmp_path / "convmae_base.pth")
    table, token = own["pos_embed"].clone(), own["cls_token"].clone()
    load_encoder(encoder, tmp_path / "convmae_base.pth")
    got = encoder.state_dict()
    assert torch.equal(got["pos_embed"], table)
    assert torch.equal(got["cls_token"], token)
    for stem in ("patch_embed1_query", "patch_embed1_memory"):
        assert torch.equal(got[f"{stem}.proj.weight"][:, :3], published["patch_embed1.proj.weight"])
    assert got["patch_embed1_memory.proj.weight"].shape[1] == 5
    for name, source in (("blocks4.0", "blocks3.9"), ("blocks4.1", "blocks3.10"), ("blocks5.0", "blocks3.10")):
        assert torch.equal(got[f"{name}.attn.qkv.weight"], published[f"{source}.attn.qkv.weight"])
    for name in ("patch_embed4_block4", "patch_embed4_block5"):
        assert torch.equal(got[f"{name}.weight"], published["patch_embed4.weight"])


@torch.no_grad()
def test_blocks(load) -> None:
    case = load("components/blocks")
    heads, top_k, length = (int(case[n]) for n in ("num_heads", "topk", "hw"))
    block = part_of(JointBlock(24, heads), case, "block.")
    both = case["x_token_memory"]
    for suffix, few in (("", None), ("_topk", top_k)):
        frame, token, _ = block.observe(both[:, 1:], both[:, :1], few)
        for mode in ("memory", "feature"):
            close(torch.cat([token, frame], 1), case[f"{mode}_token{suffix}"])
    kept, token, part = block.observe(both[:, 1:], both[:, :1], only_token=True)
    assert torch.equal(kept, both[:, 1:])
    close(token, case["memory_token"][:, :1])
    close(block.observe(case["x_memory"], None)[0], case["memory_only"])
    close(block.gate(both[:, 1:], both[:, :1]), case["enhance"][:, 1:])
    query, memory = case["x_query_memory"].split([length, case["x_query_memory"].shape[1] - length], 1)
    part = MemoryPart(*block.attn(block.norm1(memory))[1:])
    for name, reading in (
        ("plain", MemoryReading()),
        ("topk_all_frames", MemoryReading(top_k)),
        ("topk_every_frame", MemoryReading(top_k, each_frame=True)),
    ):
        close(block(query, part, reading), case[f"query_memory_{name}"])


@torch.no_grad()
def test_reading_more_positions_than_there_are_is_reading_all() -> None:
    block = JointBlock(24, 2)
    part = MemoryPart(torch.randn(3, 10, 24), torch.randn(3, 10, 24))
    query = torch.randn(1, 5, 24)
    close(block(query, part, MemoryReading(99)), block(query, part, MemoryReading()), 1e-5)
    close(block(query, part, MemoryReading(99, each_frame=True)), block(query, part, MemoryReading()), 1e-5)


@torch.no_grad()
def test_selective_attention_in_bands_of_queries(monkeypatch) -> None:
    block = JointBlock(24, 2)
    part = MemoryPart(torch.randn(2, 12, 24), torch.randn(2, 12, 24))
    query = torch.randn(1, 6, 24)
    whole = block(query, part, MemoryReading(4))
    monkeypatch.setattr(sys.modules["voskit.networks.ops.attention"], "MAX_SCORES", 80)
    close(block(query, part, MemoryReading(4)), whole, 1e-5)


@torch.no_grad()
def test_convolutional_parts(load) -> None:
    case = load("components/blocks")
    close(part_of(ConvBlock(16), case, "conv_block.")(case["x_conv"]), case["conv_block_out"])
    close(part_of(PatchEmbed(5, 12, 4), case, "patch.")(case["x_patch"]), case["patch_out"])


@torch.no_grad()
@pytest.mark.thorough
def test_positions(load, network) -> None:
    case = load("components/position")
    table = sine_cosine_table(24, 768)[0]
    close(table[case["rows"].long()], case["sincos_rows"])
    assert table.double().abs().sum().item() == pytest.approx(case["sincos_abs_sum"].item(), rel=1e-6)
    for size in ((6, 8), (24, 24)):
        name = f"interpolated_{size[0]}x{size[1]}"
        own = resize_table(network.convmae.pos_embed[:, 1:], size)[0].unflatten(0, size)
        close(own[..., :64], case[f"{name}_first_64_channels"])
        assert own.double().abs().sum().item() == pytest.approx(case[f"{name}_abs_sum"].item(), rel=1e-5)


@torch.no_grad()
@pytest.mark.thorough
def test_two_frames_through_the_network(load, network) -> None:
    case = load("components/network")
    config, frames = network.config, normalised(case["frames"])
    tokens = network.new_tokens(2)
    close(tokens, case["token_0"][0])
    parts = []
    for t in (0, 1):
        part, tokens = network.remember(frames[t : t + 1], case[f"mask_{t}"][0], tokens, config)
        close(tokens, case[f"token_after_memory_{t}"][0])
        parts.append(part)
    for place in (0, 5, 10):
        block = network.convmae.blocks3[place]
        stored = block.attn(block.norm1(case[f"memory_block_input_{place}"][0]))[1:]
        for own, want in zip(parts[0][place], stored, strict=True):
            close(own, want)
    unchanged = network.remember(frames[:1], case["mask_0"][0], None, config)
    assert unchanged[1] is None
    assert torch.equal(unchanged[0][10].key, parts[0][10].key)
    features = network.encode_image(frames[1:])
    close(features.f8, case["query_f8"][0])
    close(features.f4, case["query_f4"][0], 1e-3)
    memory = [MemoryPart(*(torch.cat(x, 1) for x in zip(*own, strict=True))) for own in zip(*parts, strict=True)]
    f16 = network.read(features, memory, config)
    close(f16, case["query_f16"][0])
    close(network.convmae.enhance(f16, tokens), case["enhanced_f16"][0])
    logits, fusion = network.decode(features, f16, tokens)
    close(fusion, case["fusion_feature"][0])
    together = aggregate(logits.sigmoid())
    close(together, case["logits"][0])
    close(together.softmax(0), case["prob"][0])
    close(network.update_tokens(fusion, tokens, config), case["token_after_feature"][0])


def test_which_blocks_read_few_positions() -> None:
    few = MemoryReading(30)
    first = {"all_blocks": 0, "half": 5, "last_block": 10, "None": 11, None: 11}
    for name, start in first.items():
        readings = memory_readings(get_model_config("jointformer", topk_block=name), 11)
        assert readings == [MemoryReading()] * start + [few] * (11 - start)
    every = memory_readings(get_model_config("jointformer", topk_range="every_frame"), 11)
    assert every == [MemoryReading(30, each_frame=True)] * 11


@pytest.mark.parametrize(
    ("block", "encoder", "update"),
    [
        ("all_blocks", [30] * 11, [30]),
        ("half", [None] * 5 + [30] * 6, [30]),
        ("last_block", [None] * 10 + [30], [30]),
        ("None", [None] * 11, [None]),
        (None, [None] * 11, [None]),
    ],
)
@pytest.mark.parametrize("every", ["all_frames", "every_frame"])
def test_tokens_choose_positions_in_the_configured_blocks(
    small, monkeypatch, block: str | None, encoder: list[int | None], update: list[int | None], every: str
) -> None:
    """With topk_clstoken=Y. Without it they read all positions in every block."""
    used: list[int | None] = []
    observe = JointBlock.observe

    def record(self, x, token, top_k=None, **options):
        used.append(top_k)
        return observe(self, x, token, top_k, **options)

    monkeypatch.setattr(JointBlock, "observe", record)
    for chosen, blocks, updates in (("Y", encoder, update), ("N", [None] * 11, [None])):
        config = small.config.override(topk_clstoken=chosen, topk_block=block, topk_num=30, topk_range=every)
        with torch.no_grad():
            tokens = small.new_tokens(2)
            image, masks = torch.rand(1, 3, 32, 32), torch.rand(2, 32, 32)
            _, tokens = small.remember(image, masks, tokens, config)
            assert used == blocks
            used.clear()
            small.update_tokens(torch.rand(2, 768, 2, 2), tokens, config)
            assert used == updates
            used.clear()


@torch.no_grad()
def test_tokens_that_choose_in_no_block_are_those_that_read_all(small) -> None:
    image, masks, fusion = torch.rand(1, 3, 64, 64), torch.rand(2, 64, 64), torch.rand(2, 768, 4, 4)

    def tokens(**fields: str | None) -> Tensor:
        config = small.config.override(topk_num=3, **fields)
        after = small.remember(image, masks, small.new_tokens(2), config)[1]
        return small.update_tokens(fusion, after, config)

    full = tokens(topk_clstoken="N")
    assert torch.equal(tokens(topk_clstoken="Y", topk_block="None"), full)
    assert torch.equal(tokens(topk_clstoken="Y", topk_block=None), full)
    few = [tokens(topk_clstoken="Y", topk_block=name) for name in ("last_block", "half", "all_blocks")]
    assert all((a - b).abs().max() > 1e-6 for a, b in itertools.combinations([full, *few], 2))


def test_what_is_kept_and_what_passes() -> None:
    policy, stored = FirstAndLatest(2, 3), []
    for frame in range(10):
        new = StoredFrame(frame, reference=frame == 0, passing=frame % 2 == 1)
        slot = policy.place(stored, new)
        stored[slot : slot + 1] = [new]
        assert len(stored) <= policy.max_frames
    assert sorted(f.frame for f in stored if not f.passing) == [0, 6, 8]
    assert [f.frame for f in stored if f.passing] == [9]
    assert FirstAndLatest(2).max_frames is None
    assert FirstAndLatest(2).place(stored, StoredFrame(10, False)) == 4
    alone = [StoredFrame(0, True)]
    assert FirstAndLatest(2, 1).place(alone, StoredFrame(2, False)) is None


SMOOTH = ("no_topk",)
"""Clips without a selection of positions, in which nearly equal ones may swap places."""


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", ["basic", "davis_setting", "late_first_mask_one_object", "no_topk", "resize_96", "youtube_setting"]
)
def test_a_clip_is_the_originals(load, jointformer_goldens: Path, jointformer_weights, name: str) -> None:
    """Probabilities and labels, how many frames each object keeps, whether the latest one is there besides, tokens."""
    clip = json.loads((jointformer_goldens / "clips.json").read_text())[name]
    case, config = load(clip["file"].removesuffix(".npz")), clip["config"]
    if "frames" not in case:
        case |= load(f"inputs/{clip['file'].removesuffix('.npz')}")
    fields = {k: v for k, v in config.items() if k not in ("flip", "size")}
    network = build_model("jointformer", checkpoint=jointformer_weights(clip["variant"]), device="cpu", **fields)
    segmenter = VideoSegmenter(network, short_edge=config["size"], flip=config["flip"])
    engine = segmenter._engines[0]
    given = dict(zip(case["mask_frames"].int().tolist(), case["masks"].int().numpy(), strict=True))
    traces = {int(row[0]): (row[1], row[5]) for row in case["memory_trace"]}
    mean, largest, agree = (1e-5, 1e-3, 0.999) if name in SMOOTH else (1e-3, 2e-2, 0.98)
    for t, image in enumerate(case["frames"].byte().numpy()):
        if t == len(case["frames"]) - 1:  # the original doesn't remember the last frame
            engine._remember = lambda *_: None
        ids, probs = segmenter.step(image, mask=given.get(t), return_probs=True)
        assert (ids == case["label_map"][t].numpy()).mean() >= agree, t
        if t not in traces:
            assert not segmenter.object_ids
            continue
        rows = [0] + [clip["label_to_index"][str(i)] for i in segmenter.object_ids]
        gap = (probs - case["prob_u16"][t][rows] / 65535).abs()
        assert gap.mean() <= mean, t
        assert gap.max() <= largest, t
        frames = engine._cohorts[0].bank.frames
        assert (sum(not f.passing for f in frames), sum(f.passing for f in frames)) == traces[t], t
    close(engine._tokens, case["token_final"], 1e-2)


@pytest.fixture(scope="module")
def small() -> nn.Module:
    torch.manual_seed(0)
    return build_model("jointformer", device="cpu", mem_every=2, topk_num=5, **SMALL)


def frame(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (40, 56, 3), np.uint8)


def test_objects_come_go_and_are_corrected(small) -> None:
    """Those that stay give the same as without the others' rows: each object has its own memory and token."""
    segmenter = VideoSegmenter(small, short_edge=-1, max_memory_frames=3)
    mask = np.zeros((40, 56), np.uint8)
    mask[5:20, 5:20], mask[22:38, 30:50] = 7, 2
    segmenter.step(frame(0), mask=mask)
    segmenter.step(frame(1))
    later = np.zeros_like(mask)
    later[2:12, 40:50] = 300 % 256
    segmenter.step(frame(2), mask=later)
    assert segmenter.object_ids == [2, 7, 44]
    assert segmenter.memory_frames == 3
    assert [len(c.bank) for c in segmenter._engines[0]._cohorts] == [3, 1]
    tokens = segmenter._engines[0]._tokens
    segmenter.delete_objects([7])
    assert torch.equal(segmenter._engines[0]._tokens, tokens[[0, 2]])
    ids, probs = segmenter.step(frame(3), return_probs=True)
    assert probs.shape == (3, 40, 56)
    assert set(np.unique(ids)) <= {0, 2, 44}
    correction = np.zeros_like(mask)
    correction[0:8, 0:8] = 2
    ids = segmenter.step(frame(4), mask=correction)
    assert np.array_equal(ids == 2, correction == 2)
    segmenter.delete_objects([2])
    assert [c.objects for c in segmenter._engines[0]._cohorts] == [1]
    segmenter.step(frame(5))
    segmenter.delete_objects([44])
    assert segmenter.memory_bytes == 0
    assert not segmenter.step(frame(6)).any()


@pytest.mark.thorough
def test_half_precision_and_videos_side_by_side(small) -> None:
    mask = np.zeros((40, 56), np.uint8)
    mask[5:20, 5:20], mask[22:38, 30:50] = 1, 2
    alone, first = VideoSegmenter(small, short_edge=-1), VideoSegmenter(small, short_edge=-1)
    videos = [first, first.another(), VideoSegmenter(small, short_edge=-1, amp="bf16")]
    for t in range(4):
        masks = [mask if t == 0 else None] * 2
        want = alone.step(frame(t), masks[0], return_probs=True)[1]
        got = VideoSegmenter.step_together(videos[:2], [frame(t), frame(t + 9)], masks, return_probs=True)
        assert torch.allclose(got[0][1], want, atol=1e-4)
        half = videos[2].step(frame(t), masks[0], return_probs=True)[1]
        assert (half - want).abs().mean() < 0.05
    assert videos[2].memory_bytes * 2 == first.memory_bytes


@pytest.mark.thorough
def test_memory_is_bounded_and_can_be_unbounded(small) -> None:
    mask = np.zeros((40, 56), np.uint8)
    mask[5:20, 5:20] = 1
    counts = {}
    for bound in (1, 2, None):
        config = small.config
        small.config = config.override(max_memory_frames=bound)
        try:
            segmenter = VideoSegmenter(small, short_edge=-1)
        finally:
            small.config = config
        counts[bound] = []
        for t in range(8):
            segmenter.step(frame(t), mask=mask if t == 0 else None)
            counts[bound].append(segmenter.memory_frames)
    assert counts[1] == [1, 2, 2, 2, 2, 2, 2, 2]
    assert counts[2] == [1, 2, 3, 3, 3, 3, 3, 3]
    assert counts[None] == [1, 2, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("bound", [1, 3])
def test_without_the_latest_frame(small, bound: int) -> None:
    """Only frames that are kept are remembered, also where that is one."""
    config = small.config
    small.config = config.override(include_last=False, max_memory_frames=bound)
    try:
        segmenter = VideoSegmenter(small, short_edge=-1)
    finally:
        small.config = config
    mask = np.zeros((40, 56), np.uint8)
    mask[5:20, 5:20] = 1
    for t in range(5):
        segmenter.step(frame(t), mask=mask if t == 0 else None)
    assert segmenter.memory_frames == bound
