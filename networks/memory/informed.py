"""Memory policies that use the quality of objects and the attention that stored frames get."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from voskit.networks.memory.policies import (
    POLICIES,
    EveryNthFrame,
    MemoryPolicy,
    StoredFrame,
    asks_for,
    check_counts,
    check_shares,
)

if TYPE_CHECKING:
    from voskit.configs import ModelConfig
    from voskit.networks.engines.quality import ObjectQuality


@POLICIES.register("gated")
@dataclass(frozen=True)
class Gated:
    """Store every ``gap``-th frame, but only objects that the network is confident of.

    An object is trusted in a frame if it has a mask with a confidence of at least ``confidence``. Families with an
    identity bank leave out the identities of other objects (``per_object``), and skip frames without a trusted object.
    Other families skip frames in which less than half of the objects are trusted. Instead of a skipped frame, the next
    one that qualifies is stored. With ``max_frames``, a new frame replaces the oldest predicted one.
    """

    gap: int = 5
    max_frames: int | None = None
    confidence: float = 0.7

    needs_quality: ClassVar[bool] = True
    per_object: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_counts(gap=self.gap, max_frames=self.max_frames)
        check_shares(confidence=self.confidence)

    def due(self, frame: int, last: int) -> bool:
        return frame - last >= self.gap

    def trusts(self, quality: ObjectQuality) -> bool:
        """Return True if an object's mask may be stored."""
        return quality.present and quality.confidence >= self.confidence

    def place(self, stored: Sequence[StoredFrame], new: StoredFrame) -> int | None:
        if not new.reference:
            trusted = sum(self.trusts(q) for q in new.quality.values())
            if not trusted or (not new.partial and 2 * trusted < len(new.quality)):
                return None
        return free_or_oldest(stored, new, self.max_frames)


@POLICIES.register("distractor_aware")
@dataclass(frozen=True)
class DistractorAware:
    """Keep recent frames, and frames in which a look-alike was told apart (DAM4SAM, CVPR 2025, section 3.2).

    Reference frames are kept. Half of the other slots hold the latest of every ``gap``-th frame. The other half hold
    the latest frames in which an object had a rival (``ObjectQuality.rival`` of at least ``rival``) and a confident
    mask (``confidence``).
    """

    gap: int = 5
    max_frames: int = 8
    rival: float = 0.1
    confidence: float = 0.7

    needs_quality: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_counts(gap=self.gap, max_frames=self.max_frames)
        check_shares(confidence=self.confidence)

    def due(self, frame: int, last: int) -> bool:
        return True

    def resolves(self, frame: StoredFrame) -> bool:
        """Return True if an object had a rival and a confident mask in a frame."""
        return any(
            q.present and q.rival >= self.rival and q.confidence >= self.confidence for q in frame.quality.values()
        )

    def place(self, stored: Sequence[StoredFrame], new: StoredFrame) -> int | None:
        if new.reference:
            return free_or_oldest(stored, new, self.max_frames)
        alike = [i for i, f in enumerate(stored) if not f.reference and self.resolves(f) == self.resolves(new)]
        latest = max((stored[i].frame for i in alike), default=max(f.frame for f in stored if f.reference))
        if new.frame - latest < self.gap:
            return None
        slots = self.max_frames - sum(f.reference for f in stored)
        share = slots // 2 if self.resolves(new) else slots - slots // 2
        if len(alike) < share and len(stored) < self.max_frames:
            return len(stored)
        return min(alike, key=lambda slot: stored[slot].frame, default=None)


@POLICIES.register("restricted")
@dataclass(frozen=True)
class Restricted:
    """Keep few frames: references, the latest, and those that get the most attention (RMem, CVPR 2024, section 4.2).

    The first frame, other references and the latest frame are kept. Of the others, the one with the smallest sum of
    attention and freshness is replaced. Attention is the mean fraction of long-term attention that a frame got per
    read. Freshness is ``freshness * sqrt(log(reads of the oldest) / own reads)``, as in upper-confidence-bound bandits,
    which protects frames with few reads.
    """

    gap: int = 5
    max_frames: int = 8
    freshness: float = 0.1

    needs_usage: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_counts(gap=self.gap, max_frames=self.max_frames)

    def due(self, frame: int, last: int) -> bool:
        return frame - last >= self.gap

    def place(self, stored: Sequence[StoredFrame], new: StoredFrame) -> int | None:
        free = len(stored) < self.max_frames
        latest = max((f.frame for f in stored), default=0)
        others = [slot for slot, f in enumerate(stored) if not f.reference and f.frame != latest]
        if free or not others:
            return free_or_oldest(stored, new, self.max_frames)
        most = max(f.reads for f in stored)

        def value(slot: int) -> float:
            reads = max(1, stored[slot].reads)
            return stored[slot].usage + self.freshness * math.sqrt(math.log(max(math.e, most)) / reads)

        return min(others, key=value)


@POLICIES.register("prototypes")
@dataclass(frozen=True)
class Prototypes:
    """Turn old frames into prototypes (XMem, ECCV 2022, section 3.3), for models whose config has these fields.

    It sets fields of the config (``PrototypeConfig``); a memory of prototypes has its own replacement rule.
    """

    gap: int = 5
    max_frames: int = 10
    min_frames: int = 5
    prototypes: int = 128
    most: int = 10_000

    def configure(self, config: ModelConfig) -> ModelConfig:
        """Return a model's config with these prototypes.

        Raises:
            ValueError: the model doesn't support prototypes, or the numbers contradict each other.
        """
        if "enable_long_term" not in config.field_types():
            raise ValueError(f"policy prototypes: {type(config).__name__} has no memory of prototypes")
        return config.override(
            enable_long_term=True,
            long_term_gap=self.gap,
            max_mid_term_frames=self.max_frames,
            min_mid_term_frames=self.min_frames,
            num_prototypes=self.prototypes,
            max_long_term_elements=self.most,
        )


@dataclass(frozen=True)
class WithLatest:
    """A wrapper of a policy that adds a slot for the latest frame (``StoredFrame.passing``)."""

    policy: MemoryPolicy

    @property
    def max_frames(self) -> int | None:
        return None if self.policy.max_frames is None else self.policy.max_frames + 1

    @property
    def needs_quality(self) -> bool:
        return asks_for(self.policy, "needs_quality")

    def due(self, frame: int, last: int) -> bool:
        return self.policy.due(frame, last)

    def place(self, stored: Sequence[StoredFrame], new: StoredFrame) -> int | None:
        alike = [slot for slot, frame in enumerate(stored) if frame.passing == new.passing]
        if new.passing:
            return alike[0] if alike else len(stored)
        slot = self.policy.place([stored[i] for i in alike], new)
        return slot if slot is None else [*alike, len(stored)][slot]


def free_or_oldest(stored: Sequence[StoredFrame], new: StoredFrame, most: int | None) -> int | None:
    """Return a free slot, or that of the oldest predicted frame, or of the oldest reference except the first."""
    return EveryNthFrame(1, most).place(stored, new)
