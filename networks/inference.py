"""Networks for inference: folded batch norms, channels-last convolutions, half-precision weights, ``torch.compile``."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from voskit.networks.layers.norms import FrozenBatchNorm
from voskit.networks.models.base import Network

M = TypeVar("M", bound=nn.Module)

AMP_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
"""Half-precision dtypes by their names in the option ``amp``."""

_CAST = (nn.Conv2d, nn.Conv3d, nn.Linear)  # modules that autocast runs in half precision


def compile_network(network: Network, backend: str = "inductor") -> None:
    """Compile the blocks of a network in place with ``torch.compile``; tensor names don't change.

    The blocks are those in :attr:`voskit.networks.models.base.Network.block_calls`. They are compiled on their first
    call, and recompiled when the size of the memory first changes.
    """
    for part, name in network.block_calls:
        if name == "forward":
            part.compile(backend=backend)
        else:
            setattr(part, name, torch.compile(getattr(part, name), backend=backend))


def compile_calls(network: Network, names: Iterable[str], backend: str = "inductor") -> None:
    """Compile some methods of a network in place, for static shapes.

    This suits engines whose calls have the same shapes on every frame. The first frame of a size and the first
    predicted frame trigger compilation; later frames reuse the compiled code.
    """
    for name in names:
        setattr(network, name, torch.compile(getattr(network, name), backend=backend, dynamic=False))


def folded(module: M, half: torch.dtype | None = None) -> M:
    """Copy a module and fold each batch norm into the preceding convolution; convolutions become channels-last.

    Results are equal up to rounding (1e-5 of a map's largest value). Unchanged tensors are shared with the original.
    Folded ones are copies, so later changes of the original don't affect them. Norms in training mode aren't folded.

    Args:
        module: any network in which a batch norm that is registered right after a convolution is applied to its output.
            Subclasses of batch norm aren't folded.
        half: dtype in which the copy will run under autocast. Weights of convolutions and linear layers are stored in
            it, with the values that autocast would convert them to on each call. (Autocast caches only weights that
            require gradients.) Modules with an attribute ``keeps_float32`` stay in float32 instead of bfloat16.
    """
    if half == torch.bfloat16 and getattr(module, "keeps_float32", False):
        half = None
    out = copy.copy(module)
    # checkpointed methods are bound to the original; without gradients, the plain ones are enough
    for name in [n for n, x in vars(out).items() if isinstance(x, functools.partial) and x.func is checkpoint]:
        delattr(out, name)
    out._modules = {}
    before: tuple[str, nn.Module] | None = None
    for name, child in module._modules.items():
        if child is None:
            out._modules[name] = None
            continue
        if _is_fixed_norm(child) and before is not None and type(before[1]) is nn.Conv2d:
            out._modules[before[0]] = _converted(_fold(before[1], child), half)
            out._modules[name] = nn.Identity()
        else:
            out._modules[name] = folded(child, half)
        before = (name, child)
    return _converted(out, half)


def _is_fixed_norm(module: nn.Module) -> bool:
    """Return True for a plain batch norm with fixed statistics. Subclasses may do more, such as timm's with ReLU."""
    if type(module) is nn.BatchNorm2d:
        return not module.training and module.affine and module.running_var is not None
    return type(module) is FrozenBatchNorm


def _converted(module: M, half: torch.dtype | None) -> M:
    """Convert the module's own weights to half precision if autocast would; return the module."""
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
    # in float64, so that each weight is rounded only once, and on the CPU, since MPS has no float64
    own, mean, var, scale, shift = (
        x.cpu().double() for x in (conv.weight, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    factor = scale * (var + norm.eps).rsqrt()
    bias = shift - mean * factor
    if conv.bias is not None:
        bias = bias + conv.bias.cpu().double() * factor
    weight, bias = (x.to(conv.weight.dtype).to(conv.weight.device) for x in (own * factor[:, None, None, None], bias))
    # MPS has no kernels for channels-last maps
    layout = torch.contiguous_format if weight.device.type == "mps" else torch.channels_last
    out._parameters = {
        "weight": nn.Parameter(weight.contiguous(memory_format=layout), requires_grad=False),
        "bias": nn.Parameter(bias, requires_grad=False),
    }
    return out
