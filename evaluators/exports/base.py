"""Base class of export formats, with registry, options and output files."""

from __future__ import annotations

import dataclasses
import shutil
import uuid
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from voskit.configs import Registry, suggest
from voskit.configs.base import parse_value
from voskit.dataloaders.files import make_folder
from voskit.dataloaders.video.source import FrameSource, Playback
from voskit.evaluators.exports.frames import ExportFrame

_FORMATS = ("pngs", "coco", "davis", "cvat", "yolo", "table", "arrays", "mattes", "videos")


@dataclasses.dataclass(kw_only=True)
class ExportClip:
    """Clip whose results are exported.

    Attributes:
        name: its name.
        size: (height, width) of its frames.
        names: names of its objects by id; those of later objects may be added during the export.
        fps: constant frame rate of exported videos; None: frames keep their times, or follow at 25 frames/s.
        source_fps: mean frame rate of the source, which the headers of some formats state; None for images.
        playback: pixel aspect ratio and audio of the source.
        whole: the clip isn't cut, so its audio may be longer than the frames; only used at the end.
    """

    name: str
    size: tuple[int, int]
    names: Mapping[int, str] = dataclasses.field(default_factory=dict)
    fps: float | None = None
    source_fps: float | None = None
    playback: Playback = dataclasses.field(default_factory=Playback)
    whole: bool = True

    @classmethod
    def of(cls, source: FrameSource, *, fps: float | None = None, **options: Any) -> ExportClip:
        """Return the clip of a source. With a given ``fps`` there is no audio, as it would be out of sync."""
        playback = source.playback if fps is None else dataclasses.replace(source.playback, audio=None, time_base=None)
        name, size = source.name, source.size
        return cls(name=name, size=size, fps=fps, source_fps=source.fps, playback=playback, **options)


class Export(ABC):
    """Base class of export formats. Subclasses are dataclasses whose fields are the format's options.

    An instance exports one clip: ``start`` is called once, ``write`` for each frame in order, ``close`` once, all from
    one thread. It keeps no frames in memory. Files get their final names when they are complete.
    """

    output: ClassVar[str]
    """Name of the file or folder that it writes."""
    clip: ExportClip
    path: Path
    """File or folder to write."""

    @property
    def soft(self) -> bool:
        """True if it uses the network's probabilities for soft edges, see :class:`ExportFrame`."""
        return False

    def start(self, clip: ExportClip, folder: Path) -> None:
        """Prepare the output in ``folder``. A folder of an earlier run is removed; ``close`` replaces a file of one.

        Raises:
            ValueError, OSError: the clip can't be exported, or the folder can't be written to.
        """
        self.clip, self.path = clip, folder / self.output
        make_folder(folder)
        remove_output(self.path, keep=self.path.is_file())

    @abstractmethod
    def write(self, frame: ExportFrame) -> None:
        """Append a frame. Raises OSError if it can't be written."""

    @abstractmethod
    def close(self, *, complete: bool = True) -> None:
        """Complete the output. Called once, also after an error.

        Args:
            complete: False: the run was aborted, so the name of a file says that it is incomplete.
        """


EXPORTS: Registry[type[Export]] = Registry("export format", [f"{__package__}.{module}" for module in _FORMATS])
"""Export formats by name, for ``--export`` and ``export_masks``."""


def build_export(text: str) -> Export:
    """Build a format from its name and options, such as ``"coco"`` or ``"alpha:bits=16,objects=together"``.

    Raises:
        ValueError: the format or an option is unknown (similar names are suggested), or a value is invalid.
    """
    name, _, fields = text.partition(":")
    kind = _kind(name)
    known = {field.name: field.default for field in dataclasses.fields(kind)}
    options: dict[str, Any] = {}
    for field in filter(None, fields.split(",")):
        key, sign, value = (part.strip() for part in field.partition("="))
        if not sign:
            raise ValueError(f"export {text!r}: {field!r} must have the form name=value")
        if key not in known:
            hint = f": {suggest(key, known)}" if known else ""
            raise ValueError(f"export {text!r}: {name} has no option {key!r}{hint}")
        options[key] = _value(text, key, value, known[key])
    try:
        return kind(**options)
    except ValueError as error:
        raise ValueError(f"export {text!r}: {error}") from None


def build_exports(texts: Iterable[str]) -> list[Export]:
    """Build several formats. Raises ValueError as :func:`build_export` does, also if one is named twice."""
    if isinstance(texts, str):
        raise ValueError(f"exports must be a list of formats, such as [{texts!r}], not the string {texts!r}")
    texts = list(texts)
    names = [text.partition(":")[0] for text in texts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"export {twice}: give each format once")
    return [build_export(text) for text in texts]


def _kind(name: str) -> Any:
    """Return the class of a format, as Any: type checkers can't know that it is a dataclass."""
    kind = EXPORTS.get(name)
    if not (isinstance(kind, type) and issubclass(kind, Export)):
        raise ValueError(f"export {name}: a format must be a subclass of Export, see docs/extending.md")
    if missing := sorted(kind.__abstractmethods__):
        raise ValueError(f"export {name}: {kind.__name__} has no method {missing[0]}, see docs/extending.md")
    return kind


def _value(text: str, key: str, value: str, default: object) -> object:
    """Parse an option's value to the type of its default."""
    parsed = value if isinstance(default, str) else parse_value(value.capitalize() if value in _BOOLEANS else value)
    if isinstance(default, float) and type(parsed) is int:
        parsed = float(parsed)
    if type(parsed) is not type(default):
        raise ValueError(
            f"export {text!r}: {key} must be {_KINDS.get(type(default), f'like {default!r}')}, not {value!r}"
        )
    return parsed


_BOOLEANS = ("true", "false")
_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number"}


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise ValueError unless an option has one of the given values."""
    if value not in (choices := list(choices)):
        raise ValueError(f"{name} must be {' or '.join(map(str, choices))}, not {value}")


class OutputFile:
    """File that gets its name when it is complete. Until then, write to ``temporary``, in the same folder."""

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self.path = path
        self.temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.tmp{path.suffix}")
        self._discard = weakref.finalize(self, _unlink, self.temporary)

    def finish(self, *, complete: bool = True) -> None:
        """Give the file its name, or ``NAME.incomplete.SUFFIX`` if it isn't complete."""
        self.temporary.replace(self.path if complete else incomplete_name(self.path))
        self._discard.detach()


class ObjectSpools:
    """Lines of text for each object, kept on disk until all frames are written.

    Args:
        path: the output; the lines are kept in a hidden folder next to it.
    """

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self._folder = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        self._folder.mkdir()
        self._discard = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._ids: set[int] = set()

    def append(self, object_id: int, line: str) -> None:
        """Append a line without line breaks."""
        self._ids.add(object_id)
        with (self._folder / str(object_id)).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    @property
    def ids(self) -> list[int]:
        """The objects with lines, ascending."""
        return sorted(self._ids)

    def lines(self, object_id: int) -> Iterable[str]:
        """Yield an object's lines."""
        with (self._folder / str(object_id)).open(encoding="utf-8") as file:
            for line in file:
                yield line[:-1]

    def remove(self) -> None:
        """Remove all lines."""
        self._discard()


def incomplete_name(path: Path) -> Path:
    """Return the name of an unfinished file: ``masks.incomplete.zip``."""
    return path.with_name(f"{path.stem}.incomplete{path.suffix}")


def remove_output(path: Path, *, keep: bool = False) -> None:
    """Remove the file or folder of an earlier run (unless ``keep``), and leftovers of aborted and killed runs."""
    leftovers = [incomplete_name(path), *path.parent.glob(f".{path.stem}.*.tmp*")]
    for leftover in leftovers if keep else [path, *leftovers]:
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
