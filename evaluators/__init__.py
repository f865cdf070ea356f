"""Running trained networks over videos."""

from evaluators.segmenter import VideoSegmenter

__all__ = ["VideoSegmenter"]
