"""Inference on videos: segmentation, benchmarks, metrics, annotation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voskit.evaluators.referring import ReferringSegmenter
    from voskit.evaluators.segmenter import VideoSegmenter

__all__ = ["ReferringSegmenter", "VideoSegmenter"]


def __getattr__(name: str) -> Any:
    """Import a segmenter on first use: scoring doesn't need torch, which takes seconds to import."""
    if name == "VideoSegmenter":
        from voskit.evaluators.segmenter import VideoSegmenter

        return VideoSegmenter
    if name == "ReferringSegmenter":
        from voskit.evaluators.referring import ReferringSegmenter

        return ReferringSegmenter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
