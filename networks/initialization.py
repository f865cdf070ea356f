"""Construction of networks without initialization, for weights that are loaded from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.nn import Parameter
from torch.overrides import TorchFunctionMode

_INITIALIZERS = frozenset(
    {
        "kaiming_normal_",
        "kaiming_uniform_",
        "normal_",
        "orthogonal_",
        "trunc_normal_",
        "uniform_",
        "xavier_normal_",
        "xavier_uniform_",
    }
)
"""Functions of torch.nn.init and methods of tensors that draw random weights."""


class NoInitialization(TorchFunctionMode):
    """Mode in which initializers leave parameters uninitialized; other tensors are filled as usual.

    Every checkpoint contains all parameters, so a strict load fills them.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _INITIALIZERS:
            tensor = args[0] if args else kwargs["tensor"]
            if isinstance(tensor, Parameter):
                return tensor
        return func(*args, **kwargs)
