"""Convolutions of enlarged maps, and the decoder that uses them, against their definitions."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
import torch.nn.functional as F

from voskit.networks.decoders import fpn
from voskit.networks.ops import enlarged_convolution
from voskit.networks.ops.enlarged_convolution import convolve_enlarged


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 3), (7, 1), (9, 12)])
@pytest.mark.parametrize("rows", [1, 2, 4, 100])
def test_equals_a_convolution_after_interpolation(size: tuple[int, int], rows: int, monkeypatch) -> None:
    monkeypatch.setattr(enlarged_convolution, "_NUMBERS", rows * size[1] * 9 * 6)
    torch.manual_seed(0)
    large = [2 * n - 1 for n in size]
    x, weight, plus = torch.randn(1, 5, *size), torch.randn(6, 5, 3, 3), torch.randn(1, 6, *large)
    enlarged = F.interpolate(x, large, mode="bilinear", align_corners=True)
    y = convolve_enlarged(x, weight, plus)
    assert torch.allclose(y, F.conv2d(enlarged, weight, padding=1) + plus, atol=1e-5)
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("shortcuts", "groups", "apart"),
    [((8, 16, 24), 1, True), ((8, 16, 24), 3, True), ((24, 32, 24), 1, False), ((24, 32, 24), 3, True)],
)
def test_the_decoder_convolves_encoder_maps_separately_if_that_is_faster(
    shortcuts: tuple[int, int, int], groups: int, apart: bool
) -> None:
    torch.manual_seed(0)
    decoder = fpn.FPNDecoder(64, 4, shortcuts, 64).eval()
    maps = [torch.randn(1, c, *size) for c, size in zip(shortcuts, ((17, 21), (9, 11), (5, 6)), strict=True)]
    x = torch.randn(groups, 64, 5, 6)
    whole = decoder(x, maps)  # with gradients the batch stays whole
    with mock.patch.object(fpn, "convolve_enlarged", wraps=convolve_enlarged) as calls, torch.no_grad():
        y = decoder(x, maps)
    assert calls.call_count == (2 * groups if apart else 0)
    assert torch.allclose(y, whole, atol=1e-5)


def test_a_decoder_of_other_sizes_interpolates() -> None:
    torch.manual_seed(0)
    decoder = fpn.FPNDecoder(64, 4, (8, 16, 24), 64).eval()
    maps = [torch.randn(1, c, *size) for c, size in zip((8, 16, 24), ((18, 22), (9, 11), (5, 6)), strict=True)]
    x = torch.randn(2, 64, 5, 6)
    whole = decoder(x, maps)
    with torch.no_grad():
        assert torch.allclose(decoder(x, maps), whole, atol=1e-5)
