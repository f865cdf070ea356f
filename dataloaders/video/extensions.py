"""File name extensions of videos."""

from __future__ import annotations

VIDEO_EXTENSIONS = (
    ".3gp", ".apng", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
    ".ogv", ".ts", ".webm", ".wmv", ".y4m",
)  # fmt: skip
"""Extensions by which videos in a folder or dataset are recognized; a video given by its path may have any."""
