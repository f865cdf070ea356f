"""Frames of several videos side by side: what their engines want of the network is called once for all of them.

An engine works on a frame as a generator, which yields the calls that it wants to have made and is sent what they
give. Alone, these are just made. Side by side, calls of one function with inputs of the same shapes become one call
with a larger batch, for GPUs that a single video doesn't fill.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from voskit.networks.memory import MemoryPart

T = TypeVar("T")


class Call(NamedTuple):
    """A function of a network that an engine wants to have called."""

    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    """Tensors that have the batch on their first axis, in tuples and lists or not, and memories."""


class Memories(list[Sequence[MemoryPart]]):
    """For each layer the parts of a memory. Those of several videos differ in length, so they stay parts."""


Work = Generator[Call, Any, T]
"""Something that takes calls and comes to a result."""


def run(work: Work[T]) -> T:
    """Make the calls of one work."""
    value = None
    try:
        while True:
            call = work.send(value)
            value = call.function(*call.inputs)
    except StopIteration as end:
        return end.value


def run_together(works: Sequence[Work[T]]) -> list[T]:
    """Make the calls of several works, those of a kind together; the result of each."""
    results: dict[int, T] = {}
    wanted: dict[int, Call] = {}

    def go_on(i: int, value: Any) -> None:
        try:
            wanted[i] = works[i].send(value)
        except StopIteration as end:
            results[i] = end.value

    for i in range(len(works)):
        go_on(i, None)
    while wanted:
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for i, call in wanted.items():
            groups[call.function, _kind(call.inputs, alone=i)].append(i)
        for members in groups.values():
            calls = [wanted.pop(i) for i in members]
            for i, value in zip(members, _make(calls), strict=True):
                go_on(i, value)
    return [results[i] for i in range(len(works))]


def _make(calls: Sequence[Call]) -> list[Any]:
    """Results of calls of one function whose inputs are of one kind."""
    if len(calls) == 1:
        return [calls[0].function(*calls[0].inputs)]
    return _split(calls[0].function(*_join([call.inputs for call in calls])), len(calls))


def _kind(x: Any, alone: int) -> Hashable:
    """What inputs have in common that can be joined; a batch of more than one can't, nor can what has no batch."""
    if isinstance(x, Tensor) and len(x) == 1:
        return x.shape, x.dtype
    if isinstance(x, Memories):
        return len(x)
    if x is None:
        return None
    return tuple(_kind(part, alone) for part in x) if isinstance(x, (tuple, list)) else alone


def _join(values: Sequence[Any]) -> Any:
    """Tensors one after the other on the batch axis, in tuples and lists as they are."""
    first = values[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return torch.cat(list(values))
    if isinstance(first, Memories):
        return Memories([part for parts in layer for part in parts] for layer in zip(*values, strict=True))
    return _like(first, [_join(parts) for parts in zip(*values, strict=True)])


def _split(value: Any, count: int) -> list[Any]:
    """The opposite of ``_join``; what is no tensor is everyone's."""
    if isinstance(value, Tensor):
        return list(value.split(1))
    if not isinstance(value, (tuple, list)):
        return [value] * count
    parts = [_split(part, count) for part in value]
    return [_like(value, [part[i] for part in parts]) for i in range(count)]


def _like(sequence: Any, values: list[Any]) -> Any:
    """Values in a list, a tuple or a named tuple of the kind of another."""
    return type(sequence)(*values) if hasattr(sequence, "_fields") else type(sequence)(values)
