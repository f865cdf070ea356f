"""Uploads and downloads of the annotation server: videos, mask files of all formats, zip files."""

from __future__ import annotations

import contextlib
import errno
import lzma
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from voskit.dataloaders.masks.files import read_mask_with_names
from voskit.dataloaders.masks.frame_masks import FrameMasks, masks_for
from voskit.dataloaders.video.source import Frame
from voskit.evaluators.annotation.project import OpenClip
from voskit.evaluators.annotation.storage import PRIVATE
from voskit.evaluators.annotation.storage.objects import MAX_NAME

_MAX_FILES = 100_000
_MAX_UNPACKED = 4 * 2**30  # bytes of the files in a zip
_DAMAGED = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error, lzma.LZMAError)


async def receive_files(request: Request, field: str, target: Callable[[str], Path]) -> Path:
    """Save the file of a multipart field; return its path.

    Raises:
        ValueError: the field contains no file.
        OSError: the file can't be saved; no partial file is left.
    """
    stated = int(request.headers.get("content-length", "0"))
    check_space(target("space").parent, stated)
    check_space(Path(tempfile.gettempdir()), stated)
    async with contextlib.AsyncExitStack() as stack:
        form = await _form(request, stack)
        file = form.get(field)
        if not isinstance(file, UploadFile) or not file.filename:
            raise ValueError(f"the field {field!r} must be a file")
        path = target(file.filename)
        await run_in_threadpool(_save, file, path)
        return path


def check_space(folder: Path, size: int) -> None:
    """Raise OSError (ENOSPC) if a folder's disk has no room for this number of bytes."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


async def import_masks(request: Request, opened: OpenClip) -> dict[str, Any]:
    """Set masks from the files of a multipart form, as one change; return their frames.

    Masks in folders and JSON files belong to the frames that they name. Masks that name no frame belong to the frame in
    the field ``frame``.
    """
    async with contextlib.AsyncExitStack() as stack:
        form = await _form(request, stack)
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise ValueError("no mask file was sent")
        text = str(form.get("frame") or "")
        if text and not text.isdecimal():
            raise ValueError(f"frame must be a number, not {text!r}")
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(dir=opened.annotation.folder / PRIVATE, prefix="import-")
        )
        return await run_in_threadpool(_import, files, Path(folder), opened, int(text) if text else None)


async def _form(request: Request, stack: contextlib.AsyncExitStack) -> Any:
    try:
        form = await request.form(max_files=_MAX_FILES, max_fields=100)
    except HTTPException as error:
        raise ValueError(f"the body is not a multipart form: {error.detail}") from None
    stack.push_async_callback(form.close)
    return form


def _save(file: UploadFile, path: Path) -> None:
    try:
        with path.open("xb") as out:
            shutil.copyfileobj(file.file, out, 2**20)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _import(files: list[UploadFile], folder: Path, opened: OpenClip, number: int | None) -> dict[str, Any]:
    for file in files:
        path = _free(folder, file.filename or "mask.png")
        _save(file, path)
        if path.suffix.lower() == ".zip":
            _unpack(path)
    path = _only(folder)
    try:
        found = masks_for(path, opened.source) if path.is_dir() or path.suffix.lower() == ".json" else None
        if found is not None and (number is None or not found.single):
            frames = opened.annotation.give_many(_by_frame(found, opened), "import of masks")
            names = found.names
        else:
            number = _named(path, opened) if number is None else number
            opened.annotation.check_frame(number)
            mask = read_mask_with_names(path, size=opened.source.size)
            frames, names = opened.annotation.give_many([(number, mask.ids)], "import of masks"), mask.names
    except (ValueError, OSError) as error:  # the message names the temporary copy
        text = str(error).replace(f"{folder}/", "").replace(str(folder), "the files")
        raise ValueError(text) from None
    known = opened.annotation.object_names
    for object_id, name in names.items():
        if object_id not in known:
            opened.annotation.change_object(object_id, name=name[:MAX_NAME])
    return {"frames": frames, "objects": sorted(opened.annotation.objects)}


def _by_frame(masks: FrameMasks, opened: OpenClip) -> Iterator[tuple[int, np.ndarray]]:
    masks.check_names(opened.source)
    blank = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (*opened.source.size, 3))
    for number in range(len(opened.annotation)):
        if (ids := masks(Frame(number, opened.source.name_of(number), blank))) is not None:
            yield number, ids


def _named(path: Path, opened: OpenClip) -> int:
    """Return the frame that a single mask file is named after."""
    for number in range(len(opened.annotation)):
        if opened.source.name_of(number) == path.stem:
            return number
    raise ValueError(f"{path.name} is not named after a frame: state the frame that it belongs to")


def _free(folder: Path, name: str) -> Path:
    """Return a path in the folder for a file with this name, which is untrusted."""
    path = folder / _harmless(Path(name.replace("\\", "/")).name)
    if path.exists():
        raise ValueError(f"two files are named {path.name}")
    return path


def _harmless(name: str) -> str:
    return re.sub(r"[^\w .-]+", "_", name).lstrip(".")[-120:] or "mask"


def _only(folder: Path) -> Path:
    """Return the only file or folder in a folder, or else the folder itself."""
    entries = list(folder.iterdir())
    if len(entries) == 1:
        return _only(entries[0]) if entries[0].is_dir() else entries[0]
    return folder


def _unpack(path: Path) -> None:
    """Unpack a zip file into its folder and remove it; one level of folders is kept."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if sum(member.file_size for member in members) > _MAX_UNPACKED or len(members) > _MAX_FILES:
                raise ValueError(f"{path.name} unpacks to more than {_MAX_UNPACKED // 2**30} GB")
            for member in members:
                inner = [part for part in Path(member.filename.replace("\\", "/")).parts if part not in ("..", "/")]
                if not inner or inner[-1].startswith("."):
                    continue
                target = path.parent.joinpath(*(_harmless(part) for part in inner[-2:]))
                target.parent.mkdir(exist_ok=True)
                with archive.open(member) as source, target.open("xb") as out:
                    shutil.copyfileobj(source, out, 2**20)
    except FileExistsError as error:
        raise ValueError(f"{path.name}: two files or folders are named {Path(error.filename).name}") from None
    except _DAMAGED:
        raise ValueError(f"{path.name} is not a readable zip file") from None
    except OSError as error:
        if error.errno is not None:  # bz2 raises OSError without a number for damaged data
            raise
        raise ValueError(f"{path.name} is not a readable zip file") from None
    path.unlink()


def zip_folder(folder: Path, path: Path, name: str) -> None:
    """Move the files in a folder into a zip file, in which they are in a folder with this name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{name}/{file.relative_to(folder)}")
                file.unlink()
    shutil.rmtree(folder)
