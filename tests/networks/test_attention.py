"""Global attention against its definition, and of the likeliest keys only."""

from __future__ import annotations

import pytest
import torch
from moving_clip import moving_frames, squares
from small_models import build_small
from torch import Tensor

from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model
from voskit.networks.layers.attention import DistancePenalty, MemoryAttention, read_memory
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.ops import attention, sharpness


def random_qkv(values: int) -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, n, c, generator=g) for n, c in ((7, 4), (11, 4), (11, values))]


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("values", [4, 10])
@pytest.mark.parametrize("top_k", [None, 1, 5, 11, 30])
def test_equals_the_definition(values: int, top_k: int | None, inference: bool) -> None:
    with torch.inference_mode(inference):
        q, k, v = random_qkv(values)
        scores = q @ k.transpose(2, 3) / 2
        order = scores.argsort(-1, descending=True).argsort(-1)
        weights = scores.masked_fill(order >= (top_k or 11), -torch.inf).softmax(-1)
        read = attention(q, k, v, top_k)
        assert torch.allclose(read, weights @ v, atol=1e-5)
        # a query and a key for all values, and each of them alone
        assert torch.allclose(attention(q[:1], k[:1], v, top_k), weights[:1] @ v, atol=1e-5)
        assert torch.allclose(attention(q, k[:1], v[:1], top_k)[:1], weights[:1] @ v[:1], atol=1e-5)
        assert attention(q[:1], k, v, top_k).shape == attention(q, k, v[:1], top_k).shape == read.shape


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("top_k", [None, 3])
def test_positions_are_left_out_or_weighted(top_k: int | None, inference: bool) -> None:
    with torch.inference_mode(inference):
        q, k, v = random_qkv(10)
        valid = torch.arange(11).expand(2, -1) < torch.tensor([[4], [9]])
        read = attention(q, k, v, top_k, valid)
        for i, count in enumerate((4, 9)):
            alone = attention(q[i : i + 1], k[i : i + 1, :, :count], v[i : i + 1, :, :count], top_k)
            assert torch.allclose(read[i : i + 1], alone, atol=1e-5)
        terms = torch.zeros(2, 11).masked_fill(~valid, -torch.inf)
        assert torch.allclose(attention(q, k, v, top_k, terms), read, atol=1e-5)


def test_gradients_of_the_top_k_keys_equal_the_definition() -> None:
    own, plain = ([x.requires_grad_() for x in random_qkv(10)] for _ in range(2))
    scores = plain[0] @ plain[1].transpose(2, 3) / 2
    order = scores.argsort(-1, descending=True).argsort(-1)
    (scores.masked_fill(order >= 5, -torch.inf).softmax(-1) @ plain[2]).square().sum().backward()
    attention(*own, top_k=5).square().sum().backward()
    for x, y in zip(own, plain, strict=True):
        assert torch.allclose(x.grad, y.grad, atol=1e-5)


def test_attention_over_more_positions_than_in_training_stays_as_sharp() -> None:
    assert [sharpness(n, 16) for n in (0, 1, 16, 256)] == [1, 1, 1, 2]
    assert sharpness(256, None) == 1
    q, k, v = (x.transpose(1, 2).flatten(2) for x in random_qkv(4))
    sharp = read_memory(q, [MemoryPart(k, v)], 3, None, trained_positions=3)
    factor = torch.tensor(11).log() / torch.tensor(3).log()
    assert torch.allclose(sharp, read_memory(q * factor, [MemoryPart(k, v)], 3, None, None), atol=1e-5)
    assert not torch.allclose(sharp, read_memory(q, [MemoryPart(k, v)], 3, None, None), atol=1e-3)


@pytest.mark.parametrize("name", ["aott", "deaott", "aost"])
def test_a_model_attends_as_sharply_as_in_training_on_request(name: str) -> None:
    frames, mask = moving_frames(3), squares(1, 2)
    probabilities = []
    for trained in (None, 10_000, 2):
        torch.manual_seed(0)
        segmenter = VideoSegmenter(build_model(name, device="cpu", trained_positions=trained))
        segmenter.step(frames[0], mask)
        probabilities.append(segmenter.step(frames[1], return_probs=True)[1])
    assert torch.equal(probabilities[0], probabilities[1])
    assert not torch.equal(probabilities[0], probabilities[2])


def test_training_reads_all_positions() -> None:
    torch.manual_seed(0)
    query, part = torch.randn(2, 5, 8), MemoryPart(torch.randn(2, 9, 8), torch.randn(2, 9, 8))
    few = MemoryAttention(8, 2, top_k=2)
    whole = MemoryAttention(8, 2)
    whole.load_state_dict(few.state_dict())
    expected = whole(query, [part], (1, 5))
    assert torch.equal(few(query, [part], (1, 5)), expected)
    assert not torch.allclose(few.eval()(query, [part], (1, 5)), expected, atol=1e-3)


def test_a_model_reads_the_top_k_positions_on_request() -> None:
    frames, mask = moving_frames(3), squares(1, 2)
    for name in ("aott", "deaott"):
        torch.manual_seed(0)
        weights = build_small(name).state_dict()
        probabilities = []
        for top_k in (None, 10_000, 1):
            model = build_small(name, top_k=top_k)
            model.load_state_dict(weights)
            segmenter = VideoSegmenter(model)
            probabilities.append(
                torch.stack(
                    [segmenter.step(f, mask if t == 0 else None, return_probs=True)[1] for t, f in enumerate(frames)]
                )
            )
        assert torch.allclose(probabilities[0], probabilities[1], atol=1e-4)
        assert not torch.allclose(probabilities[0], probabilities[2], atol=1e-4)


def test_self_propagation_reads_the_top_k_positions_on_request() -> None:
    torch.manual_seed(0)
    weights = build_small("deaott").state_dict()
    frame, mask = moving_frames(1)[0], squares(1, 2)
    probabilities = []
    for top_k in (None, 10_000, 1):
        model = build_small("deaott", self_top_k=top_k)
        model.load_state_dict(weights)
        segmenter = VideoSegmenter(model)
        segmenter.step(frame, mask)
        probabilities.append(segmenter.step(frame, return_probs=True)[1])
    assert torch.allclose(probabilities[0], probabilities[1], atol=1e-6)
    assert not torch.allclose(probabilities[0], probabilities[2], atol=1e-4)


@pytest.mark.parametrize("values", (4, 6))
@pytest.mark.parametrize("top_k", (None, 5))
def test_far_positions_lose_the_square_of_their_distance(values: int, top_k: int | None) -> None:
    height, width, frames, weight = 3, 4, 2, 1.5
    g = torch.Generator().manual_seed(0)
    q, k = (torch.randn(2, count * height * width, 8, generator=g) for count in (1, frames))
    v = torch.randn(2, k.shape[1], 2 * values, generator=g)
    read = read_memory(q, [MemoryPart(k, v)], 2, top_k, None, DistancePenalty(weight, (height, width)))
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], 1) / height
    bias = -weight * torch.cdist(places, places.repeat(frames, 1)) ** 2
    expected = []
    for head in range(2):
        own = slice(4 * head, 4 * head + 4)
        scores = q[:, :, own] @ k[:, :, own].transpose(1, 2) / 2 + bias
        if top_k is not None:
            scores = scores.masked_fill(scores < scores.topk(top_k).values[..., -1:], -torch.inf)
        expected.append(scores.softmax(-1) @ v[:, :, values * head : values * (head + 1)])
    assert torch.allclose(read, torch.cat(expected, 2), atol=1e-5)


def test_training_and_published_models_have_no_distance_penalty() -> None:
    torch.manual_seed(0)
    query, part = torch.randn(1, 6, 8), MemoryPart(torch.randn(1, 6, 8), torch.randn(1, 6, 8))
    near, plain = MemoryAttention(8, 2, distance_penalty=3.0), MemoryAttention(8, 2)
    plain.load_state_dict(near.state_dict())
    expected = plain(query, [part], (2, 3))
    assert torch.equal(near(query, [part], (2, 3)), expected)
    assert not torch.allclose(near.eval()(query, [part], (2, 3)), expected, atol=1e-3)
    assert build_small("aott").config.distance_penalty is None


def test_a_distance_penalty_needs_whole_frames() -> None:
    for field in ("merge_old_memory", "enable_long_term"):
        with pytest.raises(ValueError, match="distance_penalty needs whole frames in memory"):
            build_small("aott", distance_penalty=4.0, **{field: True})
