"""Networks for inference: batch norms become part of the convolutions before them, whose maps lie channels last.

In half precision, the weights that autocast would convert at each call are converted once.
"""

from __future__ import annotations

import copy
import functools

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from voskit.networks.encoders.norms import FrozenBatchNorm

AMP_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
"""Half-precision types by their names in the option ``amp``."""

_CAST = (nn.Conv2d, nn.Conv3d, nn.Linear)  # what autocast runs in half precision


def folded(module: nn.Module, half: torch.dtype | None = None) -> nn.Module:
    """A copy in which every convolution has taken in the batch norm that follows it among its siblings.

    Results are the same up to rounding (1e-5 of a map's largest value). Tensors that don't change are shared with the
    original; folded ones are copies, which later changes of the original don't reach. Norms in training mode stay.

    Args:
        module: any network in which a batch norm that is registered after a convolution is applied to its output.
        half: the type in which the copy will run under autocast: convolutions and linear layers hold their weights in
            it, the same that autocast would give them at each call. It keeps only those of weights with gradients.
    """
    out = copy.copy(module)
    for name in [n for n, x in vars(out).items() if isinstance(x, functools.partial) and x.func is checkpoint]:
        delattr(out, name)  # a method of the original whose activations are computed again: here are no gradients
    out._modules = {}
    before: tuple[str, nn.Module] | None = None
    for name, child in module._modules.items():
        if child is None:
            out._modules[name] = None
            continue
        fixed = isinstance(child, FrozenBatchNorm) or (isinstance(child, nn.BatchNorm2d) and not child.training)
        if fixed and before is not None and type(before[1]) is nn.Conv2d:
            out._modules[before[0]] = _converted(_fold(before[1], child), half)
            out._modules[name] = nn.Identity()
        else:
            out._modules[name] = folded(child, half)
        before = (name, child)
    return _converted(out, half)


def _converted(module: nn.Module, half: torch.dtype | None) -> nn.Module:
    """The module itself, its own weights in half precision where it is one of those that autocast runs so."""
    if half is not None and type(module) in _CAST:
        own = module._parameters.items()
        module._parameters = {
            name: None if x is None else nn.Parameter(x.to(half), requires_grad=False) for name, x in own
        }
    return module


@torch.no_grad()
def _fold(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    assert isinstance(norm, FrozenBatchNorm | nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    out = copy.copy(conv)
    # worked out in double precision, so that each weight is rounded only once, and on the CPU, since MPS has none
    own, mean, var, scale, shift = (
        x.cpu().double() for x in (conv.weight, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    factor = scale * (var + norm.eps).rsqrt()
    bias = shift - mean * factor
    if conv.bias is not None:
        bias = bias + conv.bias.cpu().double() * factor
    weight, bias = (x.to(conv.weight.dtype).to(conv.weight.device) for x in (own * factor[:, None, None, None], bias))
    # MPS has no kernels for maps of that layout
    layout = torch.contiguous_format if weight.device.type == "mps" else torch.channels_last
    out._parameters = {
        "weight": nn.Parameter(weight.contiguous(memory_format=layout), requires_grad=False),
        "bias": nn.Parameter(bias, requires_grad=False),
    }
    return out
