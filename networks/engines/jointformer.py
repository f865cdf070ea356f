"""Engine of JointFormer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from voskit.networks.engines.per_object import PerObjectEngine
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.memory.bank import FrameBank
from voskit.networks.memory.policies import FirstAndLatest, MemoryPolicy, StoredFrame, asks_for

if TYPE_CHECKING:
    from voskit.configs.models.jointformer import JointFormerConfig
    from voskit.networks.engines.quality import ObjectQuality
    from voskit.networks.models.jointformer.network import ImageFeatures, JointFormer


class Cohort(NamedTuple):
    """Objects that were added with the same mask; their memories contain the same frames."""

    bank: FrameBank
    objects: int
    """Number of objects."""


class JointFormerEngine(PerObjectEngine):
    """Propagation with keys and values of memory frames in each block, and a token for each object.

    Since keys and values are stored, a memory frame runs through the blocks only once, not on each read.

    Args:
        network: a JointFormer.
        config: inference fields.
        policy: selects the frames that the memory keeps. Default: the first and the latest of every ``mem_every``-th.

    Raises:
        ValueError: the policy needs the usage of frames, which the network's blocks don't track.
    """

    def __init__(self, network: JointFormer, config: JointFormerConfig, policy: MemoryPolicy | None = None) -> None:
        self.network = network
        self.config = config
        self._cohorts: list[Cohort] = []
        self._tokens: Tensor | None = None
        if policy is None:
            policy = FirstAndLatest(config.mem_every, config.max_memory_frames)
        elif asks_for(policy, "needs_usage"):
            raise ValueError(
                f"policy {policy} needs the attention that each frame gets, which JointFormer doesn't track"
            )
        elif config.include_last and not isinstance(policy, FirstAndLatest):
            from voskit.networks.memory.informed import WithLatest

            policy = WithLatest(policy)
        super().__init__(network, config, policy)

    @property
    def memory_frames(self) -> int:
        """Number of frames in the memory of the first objects, including the latest frame."""
        return len(self._cohorts[0].bank) if self._cohorts else 0

    @property
    def memory_bytes(self) -> int:
        """Number of bytes allocated for the memory."""
        return sum(cohort.bank.nbytes for cohort in self._cohorts)

    def _predict(self, features: ImageFeatures, stored: bool) -> Tensor:
        assert self._tokens is not None
        read = [self.network.read(features, cohort.bank.read(), self.config) for cohort in self._cohorts]
        f16 = read[0] if len(read) == 1 else torch.cat(read)
        logits, fusion = self.network.decode(features, f16, self._tokens)
        self._tokens = self.network.update_tokens(fusion, self._tokens, self.config)
        return logits.float().sigmoid()

    def cut(self) -> None:
        """Drop the latest frame, unless it is also a kept one: the next frame begins a new shot."""
        for cohort in self._cohorts:
            cohort.bank.drop_passing()

    def _stored_frames(self) -> Sequence[StoredFrame]:
        return self._cohorts[0].bank.frames

    def _begin(self, count: int, features: ImageFeatures) -> None:
        if not count:
            return
        new = self.network.new_tokens(count)
        self._tokens = new if self._tokens is None else torch.cat([self._tokens, new])
        self._cohorts += self._new_cohorts(count)

    def _new_cohorts(self, count: int) -> list[Cohort]:
        return [Cohort(FrameBank(self._policy), count)]

    def _remember(
        self,
        image_13HW: Tensor,
        features: ImageFeatures,
        masks_KHW: Tensor,
        stored: bool,
        given: bool,
        quality: Mapping[int, ObjectQuality],
    ) -> None:
        """Run the memory branch, which updates the tokens, and write the frame if it is kept or read as the latest.

        With ``max_memory_frames=1`` only the first frame is kept; every other one is stored at most as the latest.
        """
        if not stored and not self.config.include_last:
            return
        for (bank, _), parts in zip(self._cohorts, self._encode_masks(image_13HW, masks_KHW), strict=True):
            kept = stored and (not len(bank) or self.config.max_memory_frames != 1)
            if kept or self.config.include_last:
                bank.write(parts, self._frame, reference=given, passing=not kept, quality=quality)

    def _encode_masks(self, image_13HW: Tensor, masks_KHW: Tensor) -> list[list[MemoryPart]]:
        """Encode a frame with its masks and update the tokens -> keys and values of each block, by cohorts."""
        parts, self._tokens = self.network.remember(image_13HW, masks_KHW, self._tokens, self.config)
        counts = [cohort.objects for cohort in self._cohorts]
        by_block = [zip(k.split(counts), v.split(counts), strict=True) for k, v in parts]
        return [[MemoryPart(*own) for own in blocks] for blocks in zip(*by_block, strict=True)]

    def _keep(self, objects: list[int]) -> None:
        assert self._tokens is not None
        self._tokens = self._tokens[objects]
        cohorts, start = [], 0
        for bank, count in self._cohorts:
            own = [i - start for i in objects if start <= i < start + count]
            start += count
            if own:
                if len(own) < count:
                    bank.keep_groups(own)
                cohorts.append(Cohort(bank, len(own)))
        self._cohorts = cohorts

    def _forget(self) -> None:
        self._cohorts = []
        self._tokens = None
