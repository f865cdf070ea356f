"""What every image encoder offers."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from typing_extensions import Self


class Pretrained(Protocol):
    """What ``voskit.networks.load_encoder`` asks of an encoder of whatever kind."""

    pretrained_unused: tuple[str, ...]
    """Beginnings of the file's names that have no counterpart here."""
    pretrained_absent: tuple[str, ...]
    """Beginnings of this encoder's names that files don't have: they keep their initial values."""

    def convert_pretrained(self, state: dict[str, Tensor], /) -> dict[str, Tensor]:
        """Bring the names of a file into those of this encoder."""
        ...


class Encoder(nn.Module, ABC):
    """An image encoder: four maps at strides 4, 8, 16 and 16, or 32 for the last one.

    Names of its tensors are those of the published checkpoints.
    """

    channels: tuple[int, int, int, int]
    """Widths of the four maps."""
    over_time: bool = False
    """Whether frames of a clip see each other: ``forward`` then also takes how many images are one."""

    @abstractmethod
    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        """Normalised RGB of any size -> the four maps."""

    @abstractmethod
    def stages(self) -> list[list[nn.Module]]:
        """Parts in the order in which training freezes them; the first is the stem."""

    def freeze(self, count: int) -> None:
        """Make the first ``count`` stages fixed: their parameters get no gradient, norms keep their statistics."""
        for stage in self.stages()[:count]:
            for part in stage:
                part.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """As of any module, but norms whose weights are fixed don't learn statistics, either."""
        super().train(mode)
        for part in self.modules():
            if isinstance(part, _BatchNorm) and part.weight is not None and not part.weight.requires_grad:
                part.training = False
        return self

    @staticmethod
    def convert_pretrained(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Bring the names of an ImageNet checkpoint into those of this encoder, and leave the classifier out."""
        return state

    pretrained_unused: tuple[str, ...] = ("classifier.", "fc.", "layer4.")
    """Beginnings of the ImageNet checkpoint's names that have no counterpart here."""
    pretrained_absent: tuple[str, ...] = ()
    """Beginnings of this encoder's names that ImageNet checkpoints don't have: they keep their initial values."""


def rename(state: dict[str, Tensor], rules: Iterable[tuple[str, str]]) -> dict[str, Tensor]:
    """Apply regular expression rules to all names; the first that matches counts."""
    out = {}
    for name, tensor in state.items():
        for pattern, replacement in rules:
            new, hits = re.subn(pattern, replacement, name)
            if hits:
                name = new
                break
        out[name] = tensor
    return out
