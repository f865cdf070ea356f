"""Engine of JointFormer with memory of a fixed size, for compiled networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from voskit.networks.engines.jointformer import Cohort, JointFormerEngine
from voskit.networks.layers.maps import append_masks
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory.policies import MemoryPolicy
from voskit.networks.memory.static import StaticBank, check_static

if TYPE_CHECKING:
    from voskit.configs.models.jointformer import JointFormerConfig
    from voskit.networks.models.jointformer.network import ImageFeatures, JointFormer


class StaticJointFormerEngine(JointFormerEngine):
    """A :class:`JointFormerEngine` whose network calls have the same shapes on every frame.

    Each object has its own memory of a fixed capacity and makes its own calls, so adding or deleting objects doesn't
    change shapes. The image is still embedded once. Results are those of :class:`JointFormerEngine`.

    Args:
        network: a JointFormer.
        config: inference fields.
        policy: as in :class:`JointFormerEngine`; its bound is the capacity.

    Raises:
        ValueError: the policy decides by more than frame numbers.
    """

    network_calls: ClassVar[tuple[str, ...]] = ("encode_image", "read", "decode", "update_tokens", "remember_masked")
    """Methods of the network that the engine calls."""

    def __init__(self, network: JointFormer, config: JointFormerConfig, policy: MemoryPolicy | None = None) -> None:
        check_static(config, policy)
        super().__init__(network, config, policy)

    def _new_cohorts(self, count: int) -> list[Cohort]:
        return [Cohort(StaticBank(self._policy), 1) for _ in range(count)]

    def _predict(self, features: ImageFeatures, stored: bool) -> Tensor:
        network, logits, tokens = self.network, [], []
        for (bank, _), token in zip(self._cohorts, self._own_tokens(), strict=True):
            f16 = network.read(features, bank.read(), self.config)
            own, fusion = network.decode(features, f16, token)
            logits.append(own)
            tokens.append(network.update_tokens(fusion, token, self.config))
        self._tokens = torch.cat(tokens)
        return torch.cat(logits).float().sigmoid()

    def _encode_masks(self, image_13HW: Tensor, masks_KHW: Tensor) -> list[list[MemoryPart]]:
        memories, tokens = [], []
        frames_KCHW = append_masks(image_13HW, masks_KHW, others=not self.network.config.single_object)
        for frame, token in zip(frames_KCHW.split(1), self._own_tokens(), strict=True):
            parts, new = self.network.remember_masked(frame, token, self.config)
            assert new is not None
            memories.append(parts)
            tokens.append(new)
        self._tokens = torch.cat(tokens)
        return memories

    def _own_tokens(self) -> Sequence[Tensor]:
        """Return the token of each object, [1, 1, C]."""
        assert self._tokens is not None
        return self._tokens.contiguous().split(1)  # new ones are expanded; compiled code sees only one layout
