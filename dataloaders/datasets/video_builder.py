"""Construction of a ``Video`` from a dataset's folders: its frames, given masks and ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from voskit.configs.datasets import DatasetConfig
from voskit.dataloaders.datasets.index import Entry
from voskit.dataloaders.datasets.layout import DatasetLayout, ImageFolder, not_png, scan_images
from voskit.dataloaders.datasets.mask_readers import BurstMaskReader, MaskReader, PanopticMaskReader, PngMaskReader
from voskit.dataloaders.datasets.problem import Problem, Report
from voskit.dataloaders.datasets.video import Video
from voskit.dataloaders.natural_order import natural_sorted
from voskit.dataloaders.video.extensions import VIDEO_EXTENSIONS

_MASK_EXTENSIONS = (".png",)


def build_video(layout: DatasetLayout, entry: Entry, *, require_frames: bool, report_any: Report) -> Video | None:
    """Build one video. If it has no frames although they are required, report that and return None."""

    def report(problem: Problem) -> None:
        report_any(replace(problem, video=entry.name))

    config = layout.config
    video_file = _video_file(layout, entry)
    truth_path, truth = _ground_truth(layout, entry, report)
    frames = ImageFolder({}) if video_file is not None else _frames(layout, entry, require_frames, report)
    for stem in frames.twice:
        report(Problem(frames.files[stem].parent, f"frame {stem} occurs with several extensions"))
    files, listed = frames.files, () if entry.meta is None else entry.meta.frames or ()
    files = _cut(layout, files, listed)
    if video_file is None and not files:
        if require_frames:
            _report_missing_frames(layout, entry, report)
            return None
        masks, _ = _mask_folder(layout, entry, report=None)
        names = natural_sorted({*listed, *truth, *masks.files}) if config.fed == "folder" else list(listed)
    else:
        names = list(files)
        if not require_frames and config.wanted == "annotated":
            names = natural_sorted({*names, *truth})
    mask_files, new_ids = _given(layout, entry, names, video_file, report)
    scored = _scored(config, listed, truth)
    known = set(names)
    if video_file is None:
        for name in scored or ():
            if name not in known:
                folder = layout.path(layout.frames, entry.names)
                report(Problem(folder or layout.root, f"frame {name} is required, but missing", missing=True))
    if config.fed == "listed" and require_frames:
        _report_unlisted(layout, entry, listed, frames.files, report)
    dense = layout.split in config.all_frames_splits
    num_given = min(len(mask_files), 1) if config.given == "first" else len(mask_files)
    truth_is_more = not truth or len(truth) > num_given  # given masks alone aren't ground truth; a JSON file is
    return Video(
        name=entry.name,
        config=config,
        files={name: files[name] for name in names if name in files} if len(files) == len(names) else {},
        video_file=video_file,
        listed=tuple(names),
        mask_files=mask_files,
        new_ids=new_ids,
        masks=_mask_reader(config, entry, mask_files, truth),
        scored=None if scored is None else tuple(scored),
        submitted_only=tuple(listed) if dense else None,
        ground_truth=truth_path if truth_is_more else None,
        truth_frames=truth if truth_is_more else {},
        meta=entry.meta,
    )


def _video_file(layout: DatasetLayout, entry: Entry) -> Path | None:
    if layout.config.index_required:  # frames of benchmarks are folders of images
        return None
    path = layout.path(layout.frames, entry.names)
    if path is None or path.is_dir():
        return None
    return layout.with_extension(path, VIDEO_EXTENSIONS)


def _frames(layout: DatasetLayout, entry: Entry, require_frames: bool, report: Report) -> ImageFolder:
    """Find the frames of a video: those in the list of file pairs, or all in its folder."""
    if not entry.files:
        path = layout.path(layout.frames, entry.names)
        return ImageFolder({}) if path is None else scan_images(path)
    files: dict[str, Path] = {}
    for frame, _ in entry.files:
        path = layout.root / frame
        if path.is_file():
            files[path.stem] = path
        elif require_frames:
            report(Problem(path, f"listed in {entry.source.name}, but missing", missing=True))
    return ImageFolder(files)


def _cut(layout: DatasetLayout, files: dict[str, Path], listed: tuple[str, ...]) -> dict[str, Path]:
    """Select the frames that the network sees: all, those in the meta file, or (at 30 fps) all from its first one."""
    if layout.config.fed == "folder" or not listed:
        return files
    if layout.split in layout.config.all_frames_splits:
        return {name: path for name, path in files.items() if name >= listed[0]}
    return {name: files[name] for name in listed if name in files}


def _report_missing_frames(layout: DatasetLayout, entry: Entry, report: Report) -> None:
    if entry.files:  # each missing file is already reported
        return
    path = layout.path(layout.frames, entry.names)
    if path is None:
        path = layout.root / layout.frames[0].format(**entry.names)
    if path.is_file() and not layout.config.index_required:
        report(Problem(path, f"{entry.source.name} lists this file: list videos without their extension: {path.stem}"))
        return
    what = "no frames in this folder" if path.is_dir() else "no such folder of frames"
    report(Problem(path, f"{what}, but {entry.source.name} lists video {entry.name}", missing=True))


def _report_unlisted(
    layout: DatasetLayout, entry: Entry, listed: tuple[str, ...], files: dict[str, Path], report: Report
) -> None:
    if layout.config.wanted == "listed":  # already reported
        return
    for name in listed:
        if name not in files:
            folder = layout.path(layout.frames, entry.names) or layout.root
            report(Problem(folder, f"frame {name} is listed in {entry.source.name}, but missing", missing=True))


def _scored(config: DatasetConfig, listed: tuple[str, ...], truth: dict[str, Path]) -> list[str] | None:
    if config.wanted == "listed":
        return list(listed)
    return list(truth) if config.wanted == "annotated" and truth else None


def _ground_truth(layout: DatasetLayout, entry: Entry, report: Report) -> tuple[Path | None, dict[str, Path]]:
    """Find the folder (or file) of the ground truth and its masks by frame name."""
    path = layout.path(layout.ground_truth, entry.names)
    if path is None or not path.exists():
        return None, {}
    if path.is_file():
        return path, {}
    files = scan_images(path, _MASK_EXTENSIONS).files
    if not files and (wrong := not_png(path)):
        report(Problem(path, f"video {entry.name} has no true mask{wrong}", missing=True))
    return (path, files) if files else (None, {})


def _mask_folder(layout: DatasetLayout, entry: Entry, report: Report | None) -> tuple[ImageFolder, bool]:
    """Find the masks of a video; the flag is True if all of them are given."""
    if entry.files:
        files: dict[str, Path] = {}
        for mask_path in (layout.root / mask for _, mask in entry.files if mask is not None):
            if mask_path.is_file():
                files[mask_path.stem] = mask_path
            elif report is not None:
                report(Problem(mask_path, f"listed in {entry.source.name}, but missing", missing=True))
        return ImageFolder(files), False
    for templates, complete in ((layout.given_masks, True), (layout.masks, False)):
        path = layout.path(templates, entry.names)
        if path is not None:
            folder = scan_images(path, _MASK_EXTENSIONS)
            if folder.files:
                return folder, complete
            single = layout.with_extension(path, _MASK_EXTENSIONS)
            if single is not None:  # one mask for the first frame, named like the video
                return ImageFolder({"": single}), True
    return ImageFolder({}), False


def _given(
    layout: DatasetLayout, entry: Entry, names: list[str], video_file: Path | None, report: Report
) -> tuple[dict[str, Path], dict[str, tuple[int, ...]]]:
    """Find the masks to give, and the ids to use from masks that also show other objects."""
    config, meta = layout.config, entry.meta
    if config.given == "none":
        return {}, {}
    starts: dict[str, list[int]] = {}
    for object_id, frame in () if meta is None else meta.starts.items():
        starts.setdefault(frame, []).append(object_id)
    if config.meta_format == "burst" and not layout.parent(layout.given_masks):
        frames = sorted(starts, key=names.index if set(starts) <= set(names) else None)
        return dict.fromkeys(frames, entry.source), {frame: tuple(sorted(starts[frame])) for frame in frames}
    masks, complete = _mask_folder(layout, entry, report)
    folder = layout.path(layout.masks or layout.given_masks, entry.names)
    files = masks.files
    if "" in files:
        files = {names[0] if names else "00000": files[""]}
    if not files:
        where = folder or layout.root / (layout.masks or layout.given_masks or [""])[0].format(**entry.names)
        report(Problem(where, f"video {entry.name} has no given mask{not_png(where)}", missing=True))
        return {}, {}
    known = set(names)
    checked = list(files)[:1] if config.given == "first" else list(files)
    for name in [] if video_file is not None else [n for n in checked if n not in known]:
        if config.fed == "folder":
            report(Problem(files[name], "no frame has the name of this mask"))
    files = {name: path for name, path in files.items() if video_file is not None or name in known}
    if config.given == "appearing" and not complete and starts:
        for frame in sorted(starts):
            if frame not in files:
                report(
                    Problem(
                        folder or layout.root, f"no mask for frame {frame}, in which an object appears", missing=True
                    )
                )
        given = {frame: files[frame] for frame in sorted(starts) if frame in files}
        return given, {frame: tuple(sorted(starts[frame])) for frame in given}
    return files, {}


def _mask_reader(
    config: DatasetConfig, entry: Entry, files: Mapping[str, Path], truth: Mapping[str, Path]
) -> MaskReader:
    pictures = any(path.suffix != ".json" for path in files.values())
    if entry.meta is not None and entry.meta.sequence is not None and not pictures:
        return BurstMaskReader(entry.meta.sequence)
    if config.meta_format == "panoptic" and entry.meta is not None:
        return PanopticMaskReader(entry.meta.segments)
    if config.index_required:  # the values of benchmark masks are the ids
        return PngMaskReader(binary=config.binary, ignore_id=config.ignore_id)
    folders = {path.parent for path in files.values()}
    beside = [path for path in truth.values() if path.parent in folders]
    masks = tuple(dict.fromkeys([*files.values(), *beside]))
    apart = () if beside else tuple(truth.values())
    return PngMaskReader(binary=config.binary, ignore_id=config.ignore_id, masks=masks, truth=apart)
