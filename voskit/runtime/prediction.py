"""Class probabilities of a frame at the output size.

Shapes: G id groups, K classes of a group or of all (0 is the background), H W the output size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_LOWEST = 1e-30  # clamp of objects' probabilities if the background is not a class


class Step(NamedTuple):
    """Result of an engine for a frame."""

    slots_HW: np.ndarray
    """Most likely slot of each pixel, int32."""
    probabilities: np.ndarray | None
    """[objects + 1, H, W] float32; None if not requested."""


@dataclass(frozen=True)
class Prediction:
    """Scores of the background and of each object."""

    scores: np.ndarray
    """[classes, H, W] float32: logits or probabilities."""
    slots: list[int]
    """Slots of the objects, ascending."""
    is_probability: bool
    """The scores are probabilities."""
    rows: Sequence[int] | None = None
    """Rows of ``scores`` for the background and the objects. None: all, in order."""

    def slots_HW(self) -> np.ndarray:
        """Return the likeliest slot of each pixel, int32; of equal ones, the first."""
        rows = range(len(self.slots) + 1) if self.rows is None else self.rows
        best = self.scores[rows[0]].copy()
        out = np.zeros(best.shape, np.int32)
        for row, slot in zip(rows[1:], self.slots, strict=True):
            higher = self.scores[row] > best
            out[higher] = slot
            np.maximum(best, self.scores[row], out=best)
        return out

    def probabilities(self) -> np.ndarray:
        """Compute [objects + 1, H, W] float32: the background, then the objects in the order of their slots."""
        values = self.scores if self.is_probability else softmax(self.scores, 0)
        return values if self.rows is None else values[list(self.rows)]


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """Compute the softmax along an axis."""
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def merge_groups(logits_GKHW: np.ndarray, background: bool) -> np.ndarray:
    """Merge the logits of all groups to logits of all classes, [1 + G * (K - 1), H, W] (AOT, section 4.1).

    The background's probability is the product of the groups', objects are concatenated, and all become log odds.

    Args:
        logits_GKHW: logits; -1e10 for identities without an object.
        background: False if every pixel belongs to an object.
    """
    if len(logits_GKHW) == 1:
        merged = logits_GKHW[0].copy()
    else:
        p = softmax(logits_GKHW, 1)
        merged = np.concatenate([p[:, 0].prod(0)[None], p[:, 1:].reshape(-1, *p.shape[2:])])
        merged = log_odds(merged, 1e-5 if background else _LOWEST, 1 - 1e-5)
    if not background:
        merged[0] = -1e10
    return merged


def aggregate(probabilities_KHW: np.ndarray, background: bool) -> np.ndarray:
    """Aggregate the probabilities of single objects to those of all classes, [1 + K, H, W] (STM, section 3.4)."""
    p = np.concatenate([(1 - probabilities_KHW).prod(0)[None], probabilities_KHW]).astype(np.float32)
    logits = log_odds(p, 1e-7 if background else _LOWEST, 1 - 1e-7)
    if not background:
        logits[0] = -1e10
    return softmax(logits, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Compute probabilities from log odds."""
    return np.exp(-np.logaddexp(0, -x))  # doesn't overflow, nor round small probabilities to 0


def log_odds(p: np.ndarray, low: float, high: float) -> np.ndarray:
    """Compute the log odds of clamped probabilities."""
    p = p.clip(np.float32(low), np.float32(high))
    return np.log(p / (1 - p))


def overlay(predicted_KHW: np.ndarray | None, given_HW: np.ndarray, slots: Sequence[int]) -> np.ndarray:
    """Put a given mask on top of probabilities: 0 or 1 at its nonzero pixels -> [objects + 1, H, W] float32.

    Args:
        predicted_KHW: probabilities of the earlier objects; None: there were none.
        given_HW: slots of the given mask, 0 elsewhere.
        slots: slots of all objects, ascending; new ones come last.
    """
    certain = (given_HW == np.array([0, *slots])[:, None, None]).astype(np.float32)
    if predicted_KHW is not None:
        before = len(predicted_KHW)
        certain[:before] = np.where(given_HW > 0, certain[:before], predicted_KHW)
    return certain
