"""Batching over videos: engines yield network calls, and calls with equal shapes run as one batch.

An engine segments a frame as a generator: it yields :class:`Call` objects and is sent their results.
:func:`run_calls` makes the calls of one video one by one. :func:`run_calls_batched` takes several videos and makes
calls of one function with inputs of the same shapes as one call with a larger batch. This is faster on a GPU that a
single video doesn't saturate.

A yielded function must process the rows of a batch independently of each other. Calls are joined only if all of their
tensors have one row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from voskit.networks.layers.memory_part import MemoryPart

T = TypeVar("T")


class Call(NamedTuple):
    """A call of a network's function that an engine requests."""

    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    """Tensors with the batch on their first axis, also nested in tuples and lists, and memories."""


class Memories(list[Sequence[MemoryPart]]):
    """Parts of a memory for each layer. Memories of several videos differ in length, so they are kept separate."""


StepCalls = Generator[Call, Any, T]
"""Generator that yields calls, is sent their results and returns its own result."""


def run_calls(steps: StepCalls[T]) -> T:
    """Make the calls of one generator and return its result."""
    value = None
    try:
        while True:
            call = steps.send(value)
            value = call.function(*call.inputs)
    except StopIteration as end:
        return end.value


def run_calls_batched(steps: Sequence[StepCalls[T]]) -> list[T]:
    """Make the calls of several generators, batching equal ones, and return the result of each."""
    results: dict[int, T] = {}
    pending: dict[int, Call] = {}

    def resume(i: int, value: Any) -> None:
        try:
            pending[i] = steps[i].send(value)
        except StopIteration as end:
            results[i] = end.value

    for i in range(len(steps)):
        resume(i, None)
    while pending:
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for i, call in pending.items():
            groups[call.function, _signature(call.inputs, alone=i)].append(i)
        for members in groups.values():
            calls = [pending.pop(i) for i in members]
            for i, value in zip(members, _make(calls), strict=True):
                resume(i, value)
    return [results[i] for i in range(len(steps))]


def _make(calls: Sequence[Call]) -> list[Any]:
    """Make calls of one function whose inputs can be joined, and return the result of each."""
    if len(calls) == 1:
        return [calls[0].function(*calls[0].inputs)]
    return _split(calls[0].function(*_join([call.inputs for call in calls])), len(calls))


def _signature(x: Any, alone: int) -> Hashable:
    """Return a key that is equal for inputs that can be joined; ``alone`` stands for inputs without a batch of 1."""
    if isinstance(x, Tensor) and len(x) == 1:
        return x.shape, x.dtype
    if isinstance(x, Memories):
        return len(x)
    if x is None:
        return None
    return tuple(_signature(part, alone) for part in x) if isinstance(x, (tuple, list)) else alone


def _join(values: Sequence[Any]) -> Any:
    """Concatenate tensors on the batch axis, inside tuples and lists."""
    first = values[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return torch.cat(list(values))
    if isinstance(first, Memories):
        return Memories([part for parts in layer for part in parts] for layer in zip(*values, strict=True))
    return _like(first, [_join(parts) for parts in zip(*values, strict=True)])


def _split(value: Any, count: int) -> list[Any]:
    """Split tensors into rows, the inverse of ``_join``; values that aren't tensors are shared."""
    if isinstance(value, Tensor):
        return list(value.split(1))
    if not isinstance(value, (tuple, list)):
        return [value] * count
    parts = [_split(part, count) for part in value]
    return [_like(value, [part[i] for part in parts]) for i in range(count)]


def _like(sequence: Any, values: list[Any]) -> Any:
    """Return values in a list, tuple or named tuple of the same class as ``sequence``."""
    return type(sequence)(*values) if hasattr(sequence, "_fields") else type(sequence)(values)
