"""Text files that list videos."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from voskit.dataloaders.datasets.problem import Problem, Report

FilePairs = dict[str, list[tuple[str, str | None]]]


@dataclass
class VideoList:
    """What a list file says.

    Attributes:
        names: videos in the order of the file.
        files: (frame, mask) paths of each video, below the root, where the file lists pairs of files.
    """

    names: list[str] = field(default_factory=list)
    files: FilePairs = field(default_factory=dict)


def read_video_list(path: Path, report: Report) -> VideoList:
    """Read a list: a video's name on each line, or the paths of a frame and (except in test sets) of its mask.

    A line without a slash is a name, which may hold blanks.

    The second form is that of the DAVIS 2016 package:
    ``/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png``; the folder of a frame names its video.
    """
    result = VideoList()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        report(Problem(path, "not a text file"))
        return result
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        name = line.strip().strip("/")
        if "/" not in name and name not in ("", ".", ".."):
            if name in result.names:
                report(Problem(path, f"line {number}: {name} is listed twice"))
            else:
                result.names.append(name)
            continue
        first = Path(words[0].strip("/"))
        if len(first.parts) < 2 or not first.suffix or len(words) > 2 or ".." in first.parts:
            report(Problem(path, f"line {number}: {line.strip()!r} is neither a video's name nor a pair of files"))
            continue
        video = first.parent.name
        if video not in result.files:
            result.names.append(video)
        files = result.files.setdefault(video, [])
        if any(first == Path(frame) for frame, _ in files):
            report(Problem(path, f"line {number}: {first} is listed twice"))
            continue
        files.append((str(first), words[1].strip("/") if len(words) == 2 else None))
    if not result.names:
        report(Problem(path, "the list is empty"))
    return result
