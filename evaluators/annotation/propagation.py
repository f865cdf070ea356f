"""Propagation of an annotation's masks, in one direction or, between given masks, in both."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

import numpy as np

from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame
from voskit.evaluators.annotation.storage import PRIVATE

if TYPE_CHECKING:
    from voskit.evaluators.annotation.session import Annotation

Frames = Generator[tuple[Frame, np.ndarray], None, None]


class _Put(Protocol):
    def __call__(self, number: int, ids_HW: np.ndarray, sure: dict[int, float]) -> np.ndarray:
        """Queue a frame's ids and the confidence of each object for writing; return the ids as they will be written."""


def propagated(
    annotation: Annotation, span: tuple[int, int], put: _Put, fuse: bool, wanted: Callable[[], bool]
) -> Frames:
    """Yield the frames after the first one of a span and their ids; see ``Annotation.propagate``."""
    for first, last, both in _parts(annotation, span, fuse):
        steps = _between(annotation, (first, last), put, wanted) if both else _along(annotation, (first, last), put)
        with closing(steps):
            yield from steps
        if not wanted():
            return


def _parts(annotation: Annotation, span: tuple[int, int], fuse: bool) -> Iterator[tuple[int, int, bool]]:
    """Yield the parts of a span: first and last frame, and True if both directions are fused between them."""
    first, last = span
    while first != last:
        end = _next_given(annotation.given, first, last) if fuse else last
        readable = first not in annotation.source.damaged and end not in annotation.source.damaged
        yield first, end, fuse and readable and annotation.is_given(end) and abs(end - first) > 1
        first = end


def _next_given(given: list[int], first: int, last: int) -> int:
    """Return the first given frame after ``first`` in the direction of ``last``, or else ``last``."""
    if first < last:
        return min((number for number in given if first < number < last), default=last)
    return max((number for number in given if last < number < first), default=last)


def _along(annotation: Annotation, span: tuple[int, int], put: _Put) -> Frames:
    """Propagate in one direction."""
    first, last = span
    segmenter, start = annotation.segmenter, annotation.mask(first)
    segmenter.reset()
    with closing(prefetch(annotation.source.between(first, last))) as frames:
        for frame in frames:
            known = start if frame.index == first else annotation.given_mask(frame.index)
            if known is None:
                ids = put(frame.index, segmenter.step(frame.image), _confidences(annotation))
            else:
                ids = known
                segmenter.step(frame.image, known.astype(np.uint16), complete=True)  # a lone 255 is an id
            if frame.index != first:
                yield frame, ids


def _between(annotation: Annotation, span: tuple[int, int], put: _Put, wanted: Callable[[], bool]) -> Frames:
    """Propagate in both directions between two masks."""
    from voskit.evaluators.fusion import propagate_between

    low, high = sorted(span)
    first, last = annotation.mask(low), annotation.mask(high)
    assert first is not None and last is not None
    scratch = annotation.folder / PRIVATE / "directions"
    shutil.rmtree(scratch, ignore_errors=True)  # left over from a killed run
    found = propagate_between(annotation.segmenter, annotation.source, (first, last), (low, high), scratch, wanted)
    with closing(found):  # type: ignore[type-var]
        for frame, ids in found:
            known = annotation.given_mask(frame.index)
            yield frame, put(frame.index, ids, _confidences(annotation)) if known is None else known
    end = next(annotation.source.between(span[1], span[1]), None) if wanted() else None
    if end is not None:
        yield end, last if span[1] == high else first


def _confidences(annotation: Annotation) -> dict[int, float]:
    return {i: quality.confidence for i, quality in annotation.segmenter.quality.items()}
