"""Memory policies: rules for the frames that enter a memory bank and those that they replace."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from voskit.configs import Registry, suggest
from voskit.configs.base import parse_value

if TYPE_CHECKING:
    from voskit.networks.engines.quality import ObjectQuality


@dataclass(frozen=True)
class StoredFrame:
    """A frame in a bank, as policies see it."""

    frame: int
    """Number of the frame in its video."""
    reference: bool
    """The user gave its mask."""
    passing: bool = False
    """The frame is stored only until the next one."""
    quality: Mapping[int, ObjectQuality] = field(default_factory=dict)
    """Quality of its objects by their ids, as the network predicted them; empty unless the policy ``needs_quality``."""
    partial: bool = False
    """Masks of objects that the policy doesn't trust are left out of it, see ``per_object``."""
    usage: float = 0.0
    """Mean fraction of long-term attention that it got per read, 0 to 1; 0 unless the policy ``needs_usage``."""
    reads: int = 0
    """Reads of the memory since it was stored; 0 unless the policy ``needs_usage``."""


class MemoryPolicy(Protocol):
    """Protocol of policies, which decide for one bank.

    A policy may have further attributes, which default to False and cost time if they are True:

    - ``needs_quality``: frames have the ``quality`` of their objects.
    - ``needs_usage``: stored frames have their ``usage`` and ``reads``.
    - ``per_object``: the policy also needs quality and has a method ``trusts(quality) -> bool``. Families with an
      identity bank leave objects that it doesn't trust out of the frames that they store.
    """

    @property
    def max_frames(self) -> int | None:
        """Maximum number of frames that the bank may hold; None: no bound."""
        ...

    def due(self, frame: int, last: int) -> bool:
        """Return True to store a predicted frame; ``last`` is the number of the newest stored one."""
        ...

    def place(self, stored: Sequence[StoredFrame], new: StoredFrame) -> int | None:
        """Choose the slot of a new frame: ``len(stored)`` appends, a smaller number overwrites, None stores nothing.

        Args:
            stored: frames in order of slots, which isn't chronological once a frame has been overwritten.
            new: the frame to store. References are always offered, regardless of ``due``.
        """
        ...


POLICIES: Registry[Callable[..., Any]] = Registry("memory policy", [__name__, "voskit.networks.memory.informed"])
"""Policies by name, for command lines; arguments are the policy's fields.

An entry returns a :class:`MemoryPolicy`, or an object with a method ``configure(config)`` that returns the model's
config for a memory with its own rules.
"""


def asks_for(policy: MemoryPolicy, what: str) -> bool:
    """Return an optional attribute of a policy, see :class:`MemoryPolicy`."""
    return bool(getattr(policy, what, False))


def build_policy(text: str) -> MemoryPolicy:
    """Build a policy from its name and fields, such as ``"every_nth_frame:gap=5,max_frames=8"``.

    Raises:
        ValueError: unknown policy (similar names are suggested), or fields that it doesn't have.
    """
    name, _, fields = text.partition(":")
    build = POLICIES.get(name)
    arguments: dict[str, Any] = {}
    for assignment in filter(None, fields.split(",")):
        key, sign, value = assignment.partition("=")
        number = parse_value(value.strip()) if sign else None
        if not isinstance(number, (int, float)):
            raise ValueError(f"memory policy {text!r}: {assignment!r} is not of the form name=number")
        arguments[key.strip()] = number
    fields_of = inspect.signature(build).parameters
    if unknown := [key for key in arguments if key not in fields_of]:
        raise ValueError(f"memory policy {text!r} has no field {unknown[0]!r}: {suggest(unknown[0], fields_of)}")
    if missing := [key for key, x in fields_of.items() if x.default is x.empty and key not in arguments]:
        raise ValueError(f"memory policy {text!r} needs the field {missing[0]}: {name}:{missing[0]}=NUMBER")
    try:
        policy = build(**arguments)
        needed = ("max_frames",) if hasattr(policy, "configure") else ("max_frames", "due", "place")
        if missing := [part for part in needed if not hasattr(policy, part)]:
            raise ValueError(f"{type(policy).__name__} has no {missing[0]}, see docs/extending.md")
        check_counts(max_frames=policy.max_frames)
    except ValueError as error:
        raise ValueError(f"memory policy {text!r}: {error}") from None
    return policy


def check_counts(**counts: object) -> None:
    """Raise a ValueError unless these fields of a policy are positive integers or None."""
    for name, value in counts.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")


def check_shares(**shares: float) -> None:
    """Raise a ValueError unless these fields of a policy lie between 0 and 1."""
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {value!r}")


@POLICIES.register("every_nth_frame")
@dataclass(frozen=True)
class EveryNthFrame:
    """Store every ``gap``-th frame; with a bound, keep the first and the latest ones.

    With ``max_frames``, a new frame replaces the oldest predicted one. If all are references, it replaces the oldest
    except the first. A bound of 1 keeps only references.
    """

    gap: int
    max_frames: int | None = None

    def __post_init__(self) -> None:
        check_counts(gap=self.gap, max_frames=self.max_frames)

    def due(self, frame: int, last: int) -> bool:
        return frame - last >= self.gap

    def place(self, stored: Sequence[StoredFrame], new: StoredFrame) -> int | None:
        if self.max_frames is None or len(stored) < self.max_frames:
            return len(stored)
        oldest = sorted(range(len(stored)), key=lambda slot: stored[slot].frame)
        predicted = [slot for slot in oldest if not stored[slot].reference]
        if predicted:
            return predicted[0]
        if self.max_frames > 1:
            return oldest[1]
        return 0 if new.reference else None


@POLICIES.register("first_and_latest")
@dataclass(frozen=True)
class FirstAndLatest:
    """Keep the first frame and the latest ones, up to ``max_kept`` in all, and one passing frame (JointFormer).

    A frame to keep replaces the oldest one except the first, whether its mask was given or predicted. A passing frame
    replaces the passing frame before it; frames to keep leave it alone.
    """

    gap: int
    max_kept: int | None = None

    def __post_init__(self) -> None:
        check_counts(gap=self.gap, max_kept=self.max_kept)

    @property
    def max_frames(self) -> int | None:
        return None if self.max_kept is None else self.max_kept + 1

    def due(self, frame: int, last: int) -> bool:
        return frame - last >= self.gap

    def place(self, stored: Sequence[StoredFrame], new: StoredFrame) -> int | None:
        alike = [slot for slot in range(len(stored)) if stored[slot].passing == new.passing]
        if len(alike) < (1 if new.passing else self.max_kept or len(alike) + 1):
            return len(stored)
        return min(alike if new.passing else alike[1:], key=lambda slot: stored[slot].frame, default=None)
