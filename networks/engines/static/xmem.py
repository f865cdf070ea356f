"""Engine of XMem with memory of a fixed size, for compiled networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from voskit.networks.engines.xmem import XMemEngine
from voskit.networks.layers.maps import append_masks, to_sequence
from voskit.networks.memory.policies import MemoryPolicy, StoredFrame
from voskit.networks.memory.static import check_static
from voskit.networks.memory.static_objects import StaticObjectBank

if TYPE_CHECKING:
    from voskit.configs.models.xmem import XMemConfig
    from voskit.networks.engines.quality import ObjectQuality
    from voskit.networks.models.xmem import ImageFeatures, XMem


class StaticXMemEngine(XMemEngine):
    """An :class:`XMemEngine` whose network calls have the same shapes on every frame.

    Each object makes its own calls, so adding or deleting objects doesn't change shapes. The image is still encoded and
    compared with the memory once. Results are those of :class:`XMemEngine`.

    Args:
        network: an XMem.
        config: inference fields, without a memory of prototypes.
        policy: as in :class:`XMemEngine`; its bound is the capacity.

    Raises:
        ValueError: the memory has prototypes, so no fixed size, or the policy decides by more than frame numbers.
    """

    network_calls: ClassVar[tuple[str, ...]] = ("encode_image", "compare", "read", "decode", "encode_masked")
    """Methods of the network that the engine calls."""

    def __init__(self, network: XMem, config: XMemConfig, policy: MemoryPolicy | None = None) -> None:
        check_static(config, policy)
        super().__init__(network, config, policy)

    def _new_memory(self, config: XMemConfig, policy: MemoryPolicy | None) -> StaticObjectBank:  # type: ignore[override]
        return StaticObjectBank(policy or self._every_nth(config))

    @property
    def _bank(self) -> StaticObjectBank:
        return self._memory  # type: ignore[return-value]

    def _stored_frames(self) -> Sequence[StoredFrame]:
        return self._bank.frames

    def _predict(self, features: ImageFeatures, stored: bool) -> Tensor:
        network, parts = self.network, self._bank.read()
        similarity = network.compare(features, parts[0].key)
        logits, states = [], []
        for part, state in zip(parts, self._states(), strict=True):
            readout = network.read(features, similarity, part.value, part.valid, self.config.top_k)
            own, new = network.decode(features, readout, state, True)  # updated or not, the call is the same
            logits.append(own)
            states.append(new)
        if self.config.deep_update_every >= 0 or not stored:
            self._set_states(states)
        return torch.cat(logits).float().sigmoid()

    def _remember(
        self,
        image_13HW: Tensor,
        features: ImageFeatures,
        masks_KHW: Tensor,
        stored: bool,
        given: bool,
        quality: Mapping[int, ObjectQuality],
    ) -> None:
        """Write a frame to the memory, with a deep update of the sensory memory if one is due."""
        if not stored:
            return
        values, states = [], []
        frames_KCHW = append_masks(image_13HW, masks_KHW, others=not self.network.config.single_object)
        for frame, state in zip(frames_KCHW.split(1), self._states(), strict=True):
            value, new = self.network.encode_masked(frame, features, state, True)
            values.append(value)
            states.append(new)
        if self._deep_update_is_due():
            self._set_states(states)
        key = torch.cat([to_sequence(x) for x in (features.key, features.shrinkage)], 2)
        self._bank.write(key, to_sequence(torch.cat(values)), self._frame, given)

    def _states(self) -> Sequence[Tensor | None]:
        """Return the sensory memory of each object, [1, C, h, w]."""
        state = self._sensory.state
        return [None] * len(self._objects) if state is None else state.split(1)

    def _set_states(self, states: Sequence[Tensor | None]) -> None:
        """Set the sensory memory, made contiguous so that compiled code sees only one layout."""
        own = [state for state in states if state is not None]
        if own:
            self._sensory.state = torch.cat(own).contiguous()
