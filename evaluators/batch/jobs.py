"""Lists of videos to segment: CSV, JSON lines, or a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from voskit.configs.registry import suggest
from voskit.dataloaders.files import in_existing_form, read_csv, read_text
from voskit.dataloaders.images import IMAGE_EXTENSIONS
from voskit.dataloaders.video.extensions import VIDEO_EXTENSIONS
from voskit.dataloaders.video.frames import check_source
from voskit.evaluators.batch.storage import OutputStore, is_remote, local_copy
from voskit.evaluators.clips.sources import Clip, find_clips

FIELDS = ("video", "mask", "text", "name")
_EXTENSIONS = {*VIDEO_EXTENSIONS, *IMAGE_EXTENSIONS}
_NOT_IN_NAMES = {*'/\\:*?"<>|', *map(chr, range(32))}
_LONGEST_NAME = 200  # bytes; most file systems take 255, and ".batch/<name>.json" is written under a temporary name


@dataclass(frozen=True)
class BatchJob:
    """One video of a batch.

    Attributes:
        name: folder of the results below the output.
        video: a path or a URL, see :func:`~voskit.evaluators.batch.storage.is_remote`.
        mask: mask of the first frame, or a folder of masks; a path or a URL. Empty with text prompts.
        text: text prompts; empty with a mask.
        scene: the masks are those of a scene, which have the names of their frames.
    """

    name: str
    video: str
    mask: str = ""
    text: tuple[str, ...] = ()
    scene: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {**asdict(self), "text": list(self.text)}


def read_jobs(source: str, masks: Path | None = None) -> list[BatchJob]:
    """Read the videos of a list or a folder.

    A list is a CSV file with the columns video, and mask or text, and optionally name; or JSON lines with these fields,
    where text may be a list. Several text prompts of a CSV row are separated by ``|``. Relative paths begin at the
    list's folder, and ``~`` is the home folder. The name of the results is the video's by default, without the
    extension of a video file.

    Args:
        source: path or URL of a list (.csv, .jsonl), or a folder of videos or scenes.
        masks: a folder with the mask of each video under the video's name, for a folder of videos.

    Raises:
        FileNotFoundError: no such list.
        ValueError: a row is incomplete or invalid, or two have the same name; the message names the line.
    """
    if not is_remote(source) and Path(source).is_dir():
        clips = find_clips([source], [] if masks is None else [masks])
        return _checked([_job_of_clip(clip) for clip in clips], source)
    if "://" in source and not is_remote(source):
        raise ValueError(f"{source}: lists can't be read from web servers: download the file first")
    suffix = PurePosixPath(source).suffix.lower()
    if suffix not in (".csv", ".tsv", ".jsonl", ".ndjson"):
        raise ValueError(f"{source}: a list of videos must be a .csv or .jsonl file, or a folder of videos")
    if masks is not None:
        raise ValueError(f"--mask is for a folder of videos; {source} has a column for masks")
    with local_copy(source) as path:
        rows = _json_lines(path, source) if "json" in suffix else _csv_rows(path)
    if not rows:
        raise ValueError(f"{source}: the list is empty")
    parent = source.rpartition("/")[0] if is_remote(source) else str(Path(source).resolve().parent)
    return _checked([_job_of_row(row, f"{source}, {place}", parent) for place, row in rows], source)


def find_problems(jobs: Sequence[BatchJob], output: OutputStore) -> dict[str, str]:
    """Return the problems of videos by name, without decoding or downloading anything."""
    problems = {}
    for job in jobs:
        try:
            if not all(text.strip() for text in job.text):
                raise ValueError("a text prompt is empty")
            if not is_remote(job.video):
                check_source(job.video)
            if job.mask and not is_remote(job.mask) and not Path(job.mask).exists():
                raise FileNotFoundError(f"{job.mask}: no such mask")
            if job.mask and output.holds(job.mask, job.name):
                raise ValueError(
                    f"{job.mask} lies in {output.output}/{job.name}, whose files the results replace: give the video "
                    "another name, or the batch another --output_path"
                )
        except (ValueError, OSError) as error:
            problems[job.name] = str(error).splitlines()[0]
    return problems


def _csv_rows(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for number, row in read_csv(path, ["video"]):
        texts = [text.strip() for text in row.get("text", "").split("|") if text.strip()]
        given = {name: value.strip() for name, value in row.items() if value.strip()}
        rows.append((f"line {number}", {**given, **({"text": texts} if texts else {})}))
    return rows


def _json_lines(path: Path, source: str) -> list[tuple[str, Mapping[str, Any]]]:
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{source}, line {number}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{source}, line {number}: expected an object with the fields {', '.join(FIELDS)}")
        rows.append((f"line {number}", row))
    return rows


def _job_of_row(row: Mapping[str, Any], place: str, parent: str) -> BatchJob:
    """Return the job of a row; ``place`` names it in messages."""
    if unknown := [name for name in row if name not in FIELDS]:
        raise ValueError(f"{place}: unknown field {unknown[0]!r}: {suggest(unknown[0], FIELDS)}")
    values = {name: value for name, value in row.items() if value not in ("", None, [])}
    text = values.pop("text", [])
    texts = [text] if isinstance(text, str) else text
    for name, value in (*values.items(), *(("text", one) for one in texts)):
        if not isinstance(value, str):
            raise ValueError(f"{place}: {name} must be text, not {value!r}")
    if "video" not in values:
        raise ValueError(f"{place}: the video is missing")
    if ("mask" in values) == bool(texts):
        raise ValueError(f"{place}: give either a mask or text prompts")
    video = _absolute(values["video"], parent)
    mask = _absolute(values["mask"], parent) if "mask" in values else ""
    return BatchJob(values.get("name", _name_of(video)), video, mask, tuple(texts))


def _absolute(path: str, parent: str) -> str:
    """Return a path of a list as an absolute path, in the Unicode form of the file; URLs stay as they are."""
    if is_remote(path) or "://" in path:
        return path
    if path.startswith("~/"):
        path = str(Path(path).expanduser())
    place = path if Path(path).is_absolute() else f"{parent}/{path}"
    if is_remote(place) or (found := in_existing_form(Path(parent), path)) == Path(place):
        return place
    return str(found)


def _name_of(video: str) -> str:
    """Return the name of a file without its video extension, or the whole name of a folder; both may have dots."""
    place = video.partition("?")[0] if "://" in video else video
    name = (PurePosixPath(place) if "://" in place else Path(place)).name
    is_folder = place.endswith("/") or ("://" not in place and Path(place).is_dir())
    suffix = PurePosixPath(name).suffix
    return name if is_folder or suffix.lower() not in _EXTENSIONS else name.removesuffix(suffix)


def _job_of_clip(clip: Clip) -> BatchJob:
    assert isinstance(clip.mask, Path)
    path = Path(clip.source).resolve()
    return BatchJob(clip.scene or _name_of(str(path)), str(path), str(clip.mask.resolve()), scene=bool(clip.scene))


def _checked(jobs: Sequence[BatchJob], source: str) -> list[BatchJob]:
    """Return the jobs; raise a ValueError if a name is no valid folder name or isn't unique."""
    first: dict[str, BatchJob] = {}
    for job in jobs:
        if not job.name or job.name[0] == "." or set(job.name) & _NOT_IN_NAMES:
            advice = "write its path with /" if "\\" in job.name else "set a different name"
            raise ValueError(f"{source}: {job.name!r} can't be the name of a folder: {advice} ({job.video})")
        if len(job.name.encode(errors="surrogateescape")) > _LONGEST_NAME:
            raise ValueError(f"{source}: the name {job.name[:40]}... is too long for a folder: set a shorter name")
        if job.name.casefold() in ("summary.csv", "summary.json"):
            raise ValueError(f"{source}: {job.name} is the name of the batch's summary: choose a different name")
        if (other := first.setdefault(job.name.casefold(), job)) is not job:
            raise ValueError(
                f"{source}: results of {other.video} and {job.video} would both be in the folder {other.name}: give one"
                " of them another name"
            )
    return list(jobs)
