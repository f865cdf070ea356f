"""Base class of image encoders, and the protocol for loading published weights."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from typing_extensions import Self


class Pretrained(Protocol):
    """Attributes of an encoder that ``voskit.networks.load_encoder`` can load, for images or text."""

    pretrained_unused: tuple[str, ...]
    """Prefixes of tensors in the file that the encoder doesn't use."""
    pretrained_absent: tuple[str, ...]
    """Prefixes of the encoder's tensors that files lack; these keep their initial values."""

    def convert_pretrained(self, state: dict[str, Tensor], /) -> dict[str, Tensor]:
        """Rename, and where needed convert, the tensors of a file to those of the encoder."""
        ...


def without_bfloat16(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which autocast to bfloat16 is off; autocast to float16 stays."""
    kind = device.type
    if torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.bfloat16:
        return torch.autocast(kind, enabled=False)
    return nullcontext()


class Encoder(nn.Module, ABC):
    """Base class of image encoders: four maps at strides 4, 8, 16 and 16, or 32 for the last one.

    Names of tensors are those of the published checkpoints.
    """

    channels: tuple[int, int, int, int]
    """Widths of the four maps."""
    mobile: bool = False
    """True for mobile encoders, whose learning rate decays to a stage's ``min_lr``, others' to ``min_lr_large``."""
    over_time: bool = False
    """True if features depend on all frames of a clip; ``forward`` then also takes the number of frames in a clip."""
    temporal_window: int | None = None
    """Length of the temporal attention windows in frames; longer clips have several windows, which are shifted."""

    @abstractmethod
    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        """Encode normalized RGB images of any size to four maps."""

    @abstractmethod
    def stages(self) -> list[list[nn.Module]]:
        """Return the modules of each stage, in the order in which training freezes them; the first is the stem."""

    def freeze(self, count: int) -> None:
        """Freeze the first ``count`` stages: parameters get no gradients, norms keep their statistics."""
        for stage in self.stages()[:count]:
            for part in stage:
                part.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; norms with frozen weights keep their statistics in both."""
        super().train(mode)
        for part in self.modules():
            if isinstance(part, _BatchNorm) and part.weight is not None and not part.weight.requires_grad:
                part.training = False
        return self

    @staticmethod
    def convert_pretrained(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename the tensors of an ImageNet checkpoint to those of this encoder, without the classifier."""
        return state

    pretrained_unused: tuple[str, ...] = ("classifier.", "fc.", "layer4.")
    """Prefixes of tensors in an ImageNet checkpoint that this encoder doesn't use."""
    pretrained_absent: tuple[str, ...] = ()
    """Prefixes of this encoder's tensors that ImageNet checkpoints lack; these keep their initial values."""


def rename(state: dict[str, Tensor], rules: Iterable[tuple[str, str]]) -> dict[str, Tensor]:
    """Rename tensors by (regular expression, replacement) rules; the first matching rule applies."""
    out = {}
    for name, tensor in state.items():
        for pattern, replacement in rules:
            new, hits = re.subn(pattern, replacement, name)
            if hits:
                name = new
                break
        out[name] = tensor
    return out
