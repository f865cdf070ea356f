"""Presence of objects: a test with hysteresis, so that absent objects get no mask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from voskit.configs import PropagationConfig
from voskit.networks.engines.quality.measures import ObjectQuality, predicted_quality

if TYPE_CHECKING:
    from typing_extensions import Self

    from voskit.networks.engines.prediction import FrameProbabilities


class Presence:
    """Objects that count as absent.

    An object becomes absent after ``frames`` consecutive frames with a confidence below ``low``, and present again
    after ``frames`` consecutive frames with a confidence of at least ``high``. An object with a given mask is present.

    Args:
        frames: number of frames, at least 1.
        low, high: confidences, see :class:`~voskit.networks.engines.quality.ObjectQuality`; ``low <= high``.
    """

    def __init__(self, frames: int, low: float, high: float) -> None:
        self.frames, self.low, self.high = frames, low, high
        self.absent: set[int] = set()
        self._counts: dict[int, int] = {}

    @classmethod
    def of(cls, config: PropagationConfig) -> Self:
        """Return the test that a config describes."""
        assert config.presence_frames is not None
        return cls(config.presence_frames, *config.presence_confidences)

    def judge(
        self, prediction: FrameProbabilities, object_ids: Sequence[int], mask_HW: Tensor | None = None
    ) -> set[int]:
        """Judge a frame; return the ids of the objects that are absent in it.

        Args:
            prediction: probabilities of all objects, absent ones too.
            object_ids: their ids, in the order of slots.
            mask_HW: the frame's given mask, whose objects are present; the state of others doesn't change. None: no
                given mask.
        """
        if mask_HW is None:
            return self.update(predicted_quality(prediction, None, object_ids))
        self.give(mask_HW.unique().tolist())
        return self.absent & set(object_ids)

    def update(self, quality: Mapping[int, ObjectQuality]) -> set[int]:
        """Judge a predicted frame; return the ids of the objects that are absent in it.

        Args:
            quality: quality of the masks that the network predicts for all objects, absent ones too.
        """
        for object_id, found in quality.items():
            gone = object_id in self.absent
            other = found.confidence >= self.high if gone else found.confidence < self.low
            self._counts[object_id] = self._counts.get(object_id, 0) + 1 if other else 0
            if self._counts[object_id] >= self.frames:
                self._counts[object_id] = 0
                (self.absent.discard if gone else self.absent.add)(object_id)
        self.absent &= quality.keys()
        return set(self.absent)

    def give(self, object_ids: Iterable[int]) -> None:
        """Note that objects have a given mask."""
        for object_id in object_ids:
            self.absent.discard(object_id)
            self._counts.pop(object_id, None)
