"""Running trained networks over videos, and scoring what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluators.segmenter import VideoSegmenter

__all__ = ["VideoSegmenter"]


def __getattr__(name: str) -> Any:
    """Import :class:`VideoSegmenter` when it is asked for: scoring needs no torch, whose import takes seconds."""
    if name == "VideoSegmenter":
        from evaluators.segmenter import VideoSegmenter

        return VideoSegmenter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
