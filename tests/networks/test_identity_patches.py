"""The identity bank: patches looked up in inference against the convolution of one-hot identities in training."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_models import build_small

from voskit.networks import build_model, save_weights
from voskit.networks.ops import embed_identities


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


@pytest.mark.slow
def test_kept_identities_are_unchanged(tmp_path) -> None:
    torch.manual_seed(0)
    whole = build_small("deaott")
    save_weights(whole, tmp_path / "whole.safetensors")
    some = build_model("deaott", checkpoint=tmp_path / "whole.safetensors", device="cpu")
    some.keep_identities([7, 2, 4])
    assert some.config.max_objects == 3
    save_weights(some, tmp_path / "some.safetensors")
    read = build_model("deaott", checkpoint=tmp_path / "some.safetensors", device="cpu")  # the file says how many
    assert read.config.max_objects == 3
    labels = torch.randint(0, 4, (1, 5, 7)).repeat_interleave(13, 1).repeat_interleave(14, 2)[:, :, :97]
    image = torch.randn(1, 3, 65, 97)
    with torch.inference_mode():
        features = whole.encode_image(image)
        expected_ids = whole.encode_ids(torch.tensor([0, 7, 2, 4])[labels])
        expected = whole.decode(whole.refer(features, expected_ids), features)[:, [0, 7, 2, 4]]
        for network in (some, read):
            ids = network.encode_ids(labels)
            assert torch.allclose(ids, expected_ids, atol=1e-5)
            assert torch.allclose(network.decode(network.refer(features, ids), features), expected, atol=1e-4)
    for wrong in ([], [1, 1], [0], [11]):
        with pytest.raises(ValueError, match="identities must be different numbers from 1 to 10"):
            whole.keep_identities(wrong)


def test_an_extended_bank_keeps_its_identities_and_adds_different_ones_of_equal_size(tmp_path) -> None:
    torch.manual_seed(0)
    few = build_small("deaott", max_objects=3)
    with torch.no_grad():  # an untrained bank is orthogonal, a trained one has a mean
        few.patch_wise_id_bank.weight.add_(0.1)
    save_weights(few, tmp_path / "few.safetensors")
    more, again = (build_model("deaott", checkpoint=tmp_path / "few.safetensors", device="cpu") for _ in range(2))
    more.extend_identities(7)
    again.extend_identities(7)
    save_weights(more, tmp_path / "more.safetensors")
    read = build_model("deaott", checkpoint=tmp_path / "more.safetensors", device="cpu")  # the file says how many
    assert read.config.max_objects == 7
    bank, rows = more.patch_wise_id_bank.weight, more.decoder.conv_out.weight
    assert torch.equal(bank[:, :4], few.patch_wise_id_bank.weight)
    assert torch.equal(rows[:4], few.decoder.conv_out.weight)
    assert torch.equal(bank, again.patch_wise_id_bank.weight), "a seed fixes the new identities"
    mean = few.patch_wise_id_bank.weight[:, 1:].mean(1)
    sizes = (bank[:, 1:] - mean[:, None]).flatten(2).norm(dim=(0, 2))
    assert torch.allclose(sizes[3:], sizes[[0, 1, 2, 0]], rtol=1e-3)
    apart = torch.cdist(*(bank[:, 1:].transpose(0, 1).flatten(1)[None],) * 2)[0] + torch.eye(7)
    assert apart.min() > 0.5 * sizes.min()
    labels = torch.randint(0, 4, (1, 5, 7)).repeat_interleave(13, 1).repeat_interleave(14, 2)[:, :, :97]
    with torch.inference_mode():
        features = few.encode_image(torch.randn(1, 3, 65, 97))
        ids = few.encode_ids(labels)
        assert torch.allclose(read.encode_ids(labels), ids, atol=1e-3)
        expected = few.decode(few.refer(features, ids), features)
        assert torch.allclose(read.decode(read.refer(features, ids), features)[:, :4], expected, atol=1e-2)
    with pytest.raises(ValueError, match="already has 7 identities, so it can't be extended to 6"):
        more.extend_identities(6)
