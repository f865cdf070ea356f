"""Batch norms as part of convolutions: the same maps, and the original is left alone."""

from __future__ import annotations

import pytest
import torch
from thorough import mark_thorough
from torch import Tensor, nn

from voskit.configs import list_models
from voskit.networks import build_model
from voskit.networks.inference import folded
from voskit.networks.layers.norms import FrozenBatchNorm
from voskit.trainers.activation_checkpointing import checkpoint_activations

WITHOUT_BATCH_NORMS = ("swin", "jointformer")


NETWORKS = [n for n in list_models("semi_supervised") if not n.startswith(WITHOUT_BATCH_NORMS)]
ONE_EACH = {"aott", "deaott", "aost", "r50_deaotl", "rs101_aotl", "xmem"}
"""A network of each family and kind of encoder."""


@pytest.mark.parametrize("name", mark_thorough(NETWORKS, set(NETWORKS) - ONE_EACH))
def test_a_folded_network_gives_the_same_maps(name: str) -> None:
    torch.manual_seed(0)
    network = build_model(name, device="cpu")
    norms = [m for m in network.modules() if isinstance(m, FrozenBatchNorm | torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 2)
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.normal_(0, 0.1)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    image = torch.randn(1, 3, 65, 81)
    copy = folded(network)
    with torch.inference_mode():
        for own, same in zip(network.encode_image(image).maps, copy.encode_image(image).maps, strict=True):
            assert torch.allclose(own, same, atol=1e-4 * float(own.abs().max()))
    assert norms
    left = [m for m in copy.modules() if isinstance(m, FrozenBatchNorm | torch.nn.BatchNorm2d)]
    assert len(left) == name.startswith("rs")  # ResNeSt's first norm follows a stem of several convolutions
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


class _AsOnMPS(torch.Tensor):
    """A tensor of a device that knows no double precision, and what is computed from it there."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        out = super().__torch_function__(function, types, args, kwargs or {})
        if function is torch.Tensor.cpu:
            return out.as_subclass(torch.Tensor)
        if isinstance(out, cls) and out.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return out


@pytest.mark.parametrize("name", ["aott", "xmem"])
def test_a_network_on_a_device_without_double_precision_is_folded(name: str) -> None:
    network = build_model(name, device="cpu")
    for module in network.modules():
        for key, x in module._parameters.items():
            if x is not None:
                module._parameters[key] = torch.nn.Parameter(x.detach().as_subclass(_AsOnMPS), requires_grad=False)
        for key, x in module._buffers.items():
            if x is not None:
                module._buffers[key] = x.as_subclass(_AsOnMPS)
    with pytest.raises(TypeError, match="float64"):
        next(network.parameters()).double()
    folded(network)


def test_a_network_with_activation_checkpointing_is_folded_like_any_other() -> None:
    network = build_model("aott", device="cpu")
    image = torch.randn(1, 3, 65, 81)
    with torch.inference_mode():
        expected = folded(network).encode_image(image).maps
        checkpoint_activations(network)
        copy = folded(network)
        for norm in (m for m in network.modules() if isinstance(m, FrozenBatchNorm)):
            norm.forward = None  # the original can't run any more
        got = copy.encode_image(image).maps
        with pytest.raises(TypeError):
            network.encode_image(image)
    assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))


class _NormWithReLU(nn.BatchNorm2d):
    """A batch norm that includes its activation, like timm's."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).relu()


@pytest.mark.parametrize(
    "norm",
    [_NormWithReLU(4), nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4, track_running_stats=False)],
    ids=["with ReLU", "without weights", "without statistics"],
)
def test_a_batch_norm_that_is_not_a_plain_scale_is_kept(norm: nn.Module) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), norm).eval()
    image = torch.randn(1, 3, 8, 8)
    assert torch.equal(folded(network)(image), network(image))


def test_a_batch_norm_in_training_is_kept() -> None:
    pair = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4)).train()
    assert isinstance(folded(pair)[1], torch.nn.BatchNorm2d)
    assert isinstance(folded(pair.eval())[1], torch.nn.Identity)


@pytest.mark.parametrize("name", ["aott", "swinb_deaotl", "rs50_aotl", "xmem", "jointformer"])
def test_weights_held_in_half_precision_give_what_autocast_gives(name: str) -> None:
    torch.manual_seed(0)
    network = build_model(name, device="cpu")
    image = torch.randn(1, 3, 64, 80)
    halved = folded(network, torch.bfloat16)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = folded(network).encode_image(image)
        got = halved.encode_image(image)
    maps = _tensors(expected)
    assert maps and all(torch.equal(a, b) for a, b in zip(maps, _tensors(got), strict=True))
    exact = {m for part in halved.modules() if getattr(part, "keeps_float32", False) for m in part.modules()}
    for module in halved.modules():
        if type(module) in (torch.nn.Conv2d, torch.nn.Linear):
            assert module.weight.dtype == (torch.float32 if module in exact else torch.bfloat16)
    assert {p.dtype for p in network.parameters()} == {torch.float32}


@pytest.mark.parametrize(("half", "kind"), [(torch.bfloat16, torch.float32), (torch.float16, torch.float16)])
def test_the_stem_of_mobilenet_v2_does_not_run_in_bfloat16(half: torch.dtype, kind: torch.dtype) -> None:
    network = build_model("deaott", device="cpu")
    halved = folded(network, half)
    seen = []
    halved.encoder.features[1].register_forward_hook(lambda *args: seen.append(args[2]))
    with torch.inference_mode(), torch.autocast("cpu", half):
        stride_4 = halved.encode_image(torch.randn(1, 3, 64, 80)).maps[0]
    assert (seen[0].dtype, stride_4.dtype) == (kind, half)


def _tensors(features: object) -> list[torch.Tensor]:
    """All tensors of a value of nested tuples, lists and dataclasses."""
    if isinstance(features, torch.Tensor):
        return [features]
    parts = features if isinstance(features, list | tuple) else vars(features).values()
    return [x for part in parts if part is not None for x in _tensors(part)]
