"""Engine of XMem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from voskit.networks.engines.per_object import PerObjectEngine
from voskit.networks.layers.maps import to_map, to_sequence
from voskit.networks.memory.matching import AnisotropicMatching
from voskit.networks.memory.policies import EveryNthFrame, MemoryPolicy, StoredFrame
from voskit.networks.memory.prototypes import PrototypeMemory, PrototypePolicy
from voskit.networks.memory.sensory import SensoryMemory

if TYPE_CHECKING:
    from voskit.configs.models.xmem import XMemConfig
    from voskit.networks.engines.quality import ObjectQuality
    from voskit.networks.models.xmem import ImageFeatures, XMem


class XMemEngine(PerObjectEngine):
    """Propagation with sensory, working and long-term memory (XMem, section 3.1).

    Args:
        network: an XMem.
        config: inference fields.
        policy: selects the frames that are stored and those that they replace. Default: every ``mem_every``-th.

    Raises:
        ValueError: a policy is given for a memory of prototypes (``enable_long_term``), which has its own rules.
    """

    def __init__(self, network: XMem, config: XMemConfig, policy: MemoryPolicy | None = None) -> None:
        self.network = network
        self.config = config
        self._last_deep: int | None = None
        self._memory = self._new_memory(config, policy)
        super().__init__(network, config, policy or self._every_nth(config))

    @staticmethod
    def _every_nth(config: XMemConfig) -> MemoryPolicy:
        return EveryNthFrame(config.mem_every, config.max_memory_frames)

    def _new_memory(self, config: XMemConfig, policy: MemoryPolicy | None) -> PrototypeMemory:
        prototypes = PrototypePolicy.of(config, policy)
        return PrototypeMemory(AnisotropicMatching(), policy or self._every_nth(config), prototypes)

    @property
    def memory_frames(self) -> int:
        """Number of frames in the working memory."""
        return len(self._memory.frames)

    @property
    def memory_bytes(self) -> int:
        """Number of bytes allocated for the working and the long-term memory."""
        return self._memory.nbytes

    def _predict(self, features: ImageFeatures, stored: bool) -> Tensor:
        query = {"key": to_sequence(features.key), "selection": to_sequence(features.selection)}
        readout = to_map(self._memory.read(query, self.config.top_k), (features.key.shape[2], features.key.shape[3]))
        # if every memory frame gets a deep update, the decoder updates the sensory memory on all other frames,
        # and on frames that a policy may still reject
        update = self.config.deep_update_every >= 0 or not stored
        logits, self._sensory.state = self.network.decode(features, readout, self._sensory.state, update)
        return logits.float().sigmoid()

    def cut(self) -> None:
        """Reset the sensory memory: the next frame begins a new shot."""
        self._sensory.clear()

    def _stored_frames(self) -> Sequence[StoredFrame]:
        return self._memory.frames

    def _begin(self, count: int, features: ImageFeatures) -> None:
        self._sensory.add(count, features.maps[2])

    def _remember(
        self,
        image_13HW: Tensor,
        features: ImageFeatures,
        masks_KHW: Tensor,
        stored: bool,
        given: bool,
        quality: Mapping[int, ObjectQuality],
    ) -> None:
        """Write a frame to the working memory, with a deep update of the sensory memory if one is due."""
        if not stored:
            return
        deep = self._deep_update_is_due()
        value, self._sensory.state = self.network.encode_value(
            image_13HW, features, masks_KHW, self._sensory.state, deep
        )
        columns = {"value": value, **{n: getattr(features, n) for n in ("key", "shrinkage", "selection")}}
        self._memory.write({n: to_sequence(x) for n, x in columns.items()}, self._frame, given, quality=quality)

    def _deep_update_is_due(self) -> bool:
        """Return True if the stored frame gets a deep update, which is then recorded as the last one."""
        every = self.config.deep_update_every
        deep = every < 0 or self._last_deep is None or self._frame - self._last_deep >= every
        if deep:
            self._last_deep = self._frame
        return deep

    def _keep(self, objects: list[int]) -> None:
        self._sensory.keep(objects)
        self._memory.keep_objects(objects)

    def _forget(self) -> None:
        self._memory.clear()
        self._sensory = SensoryMemory(self.network.config.hidden_dim)
        self._last_deep = None
