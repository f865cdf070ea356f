"""The identity bank: patches looked up in inference against the convolution of one-hot identities in training."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from networks import build_model
from networks.ops import embed_identities


@pytest.mark.parametrize(("kernel", "padding"), [(17, 8), (16, 0)])
@pytest.mark.parametrize("kind", ["plain", "mixed", "noise"])
def test_lookup_equals_the_convolution(kernel: int, padding: int, kind: str) -> None:
    g = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(8, 4, kernel, kernel, generator=g), torch.randn(8, generator=g)
    ids = torch.full((2, 65, 97), 2)
    if kind == "mixed":
        ids[0, 20:40, 30:70] = 3
        ids[1, :, 48:] = 255
        ids[1, :20] = 7  # no identity of the bank
    elif kind == "noise":
        ids = torch.randint(0, 4, ids.shape, generator=g)
    expected = F.conv2d(F.one_hot(ids.clamp(max=7), 8)[..., :4].permute(0, 3, 1, 2).float(), weight, bias, 16, padding)
    expected = expected.flatten(2).transpose(1, 2)
    with torch.no_grad():
        looked_up = embed_identities(ids, weight, bias, stride=16, padding=padding)
    with torch.enable_grad():
        convolved = embed_identities(ids, weight, bias, stride=16, padding=padding)
    assert torch.allclose(looked_up, expected, atol=1e-4)
    assert torch.allclose(convolved, expected, atol=1e-4)


def test_half_precision_gives_what_the_convolution_gives() -> None:
    g = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(8, 4, 17, 17, generator=g) / 50, torch.randn(8, generator=g)
    ids = torch.randint(0, 4, (1, 9, 13), generator=g).repeat_interleave(9, 1).repeat_interleave(9, 2)
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            looked_up = embed_identities(ids, weight, bias, stride=16, padding=8)
        with torch.enable_grad():
            convolved = embed_identities(ids, weight, bias, stride=16, padding=8)
    assert looked_up.dtype == convolved.dtype == torch.bfloat16
    assert (looked_up - convolved).abs().max() < 0.02


def test_spread_identities_differ_equally_and_are_the_nearest_ones() -> None:
    torch.manual_seed(0)
    network = build_model("aott", device="cpu")
    bank = network.patch_wise_id_bank
    with torch.no_grad():  # identities 1 and 7 are nearly the same
        bank.weight[:, 7] = bank.weight[:, 1] + 0.05 * bank.weight[:, 7]

    def embeddings() -> torch.Tensor:
        ids = torch.arange(11)[:, None, None].expand(11, 33, 33)
        with torch.no_grad():
            return network.encode_ids(ids)[:, 4]  # the patch in the middle sees one identity only

    before = embeddings()
    network.spread_identities()
    after = embeddings()
    between = torch.cdist(after, after)[~torch.eye(11, dtype=torch.bool)]
    assert between.std() / between.mean() < 1e-3
    assert torch.cdist(before, before)[1, 7] < 0.2 * between.mean()
    assert torch.allclose(after.mean(0), before.mean(0), atol=1e-5)
    moved = (after - before).norm(dim=1)
    assert (moved < torch.cdist(after, before).fill_diagonal_(torch.inf).min(1).values).all()  # each stays what it was
    network.spread_identities()
    assert torch.allclose(embeddings(), after, atol=1e-4)
