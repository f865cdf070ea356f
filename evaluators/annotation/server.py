"""Annotation server: the page and its HTTP API."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import logging
import math
import socket
import zlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from voskit.evaluators.annotation.jobs import Job
from voskit.evaluators.annotation.project import OpenClip, ProjectClip
from voskit.evaluators.annotation.security import Access, Guard, TooLargeError
from voskit.evaluators.annotation.session import BusyError, StaleRevisionError
from voskit.evaluators.annotation.transfers import import_masks, receive_files
from voskit.evaluators.annotation.workspace import Workspace
from voskit.evaluators.clips.sources import BUNDLED_SCENES

logger = logging.getLogger(__name__)

STATIC = Path(__file__).with_name("static")
_GZIP_LEVEL = 1
_MAX_VIEW = 2**16  # bytes of the page's stored state
_STATUS = (  # HTTP status by exception class; the first match applies
    (StaleRevisionError, 412),
    (BusyError, 409),
    (TooLargeError, 413),
    (FileNotFoundError, 404),
    (PermissionError, 403),
    (ValueError, 400),
)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Api:
    """Handlers of the HTTP API. Frames are numbered from 0. Changes of a mask name the revision they are based on.

    Args:
        workspace: the work.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.work = workspace
        self._prompting = asyncio.Lock()

    def routes(self) -> list[Route]:
        """Return the routes under ``/api``."""
        clip = "/clips/{clip}"
        return [
            self._route("GET", "/project", self.project),
            self._route("GET", "/files", self.files),
            self._route("POST", "/clips", self.add_clip),
            self._route("GET", clip, self.clip),
            self._route("DELETE", clip, self.remove_clip),
            self._route("POST", f"{clip}/retry", self.retry_clip),
            self._route("PUT", f"{clip}/view", self.set_view),
            self._route("GET", f"{clip}/frames/{{frame:int}}.jpg", self.frame),
            self._route("GET", f"{clip}/masks/{{frame:int}}", self.mask),
            self._route("PUT", f"{clip}/masks/{{frame:int}}", self.set_mask),
            self._route("DELETE", f"{clip}/masks/{{frame:int}}", self.remove_mask),
            self._route("POST", f"{clip}/objects", self.add_object),
            self._route("POST", f"{clip}/objects/merge", self.merge_objects),
            self._route("PUT", f"{clip}/objects/{{object:int}}", self.change_object),
            self._route("DELETE", f"{clip}/objects/{{object:int}}", self.delete_object),
            self._route("POST", f"{clip}/prompt", self.prompt),
            self._route("GET", f"{clip}/quality", self.quality),
            self._route("POST", f"{clip}/undo", self.undo),
            self._route("POST", f"{clip}/redo", self.redo),
            self._route("POST", f"{clip}/jobs", self.start_job),
            self._route("POST", f"{clip}/import", self.import_masks),
            self._route("DELETE", "/jobs/{job:int}", self.stop_job),
            self._route("GET", "/jobs/{job:int}/file", self.job_file),
            self._route("GET", "/events", self.events),
        ]

    def _route(self, method: str, path: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(f"/api{path}", handler, methods=[method])

    # project ---------------------------------------------------------------------------------------------------------

    async def project(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self.work.describe))

    async def files(self, request: Request) -> Response:
        path = request.query_params.get("path", "")
        return JSONResponse(await run_in_threadpool(self.work.project.list_root, path))

    async def add_clip(self, request: Request) -> Response:
        project = self.work.project
        if request.headers.get("content-type", "").startswith("multipart/"):
            path = await receive_files(request, "video", lambda name: project.upload_path(name))
            try:
                clip = await run_in_threadpool(project.add, path)
            except (ValueError, OSError):  # it isn't a clip
                path.unlink(missing_ok=True)
                raise
        else:
            values = await _json(request)
            if scene := values.get("scene"):
                path = next((p for p in (BUNDLED_SCENES / "images").iterdir() if p.name == scene), None)  # type: ignore
                if path is None:
                    raise FileNotFoundError(f"no bundled scene is named {scene!r}")
            else:
                path = await run_in_threadpool(project.within_root, _text(values, "path"))
            clip = await run_in_threadpool(project.add, path)
        project.open(clip)
        return JSONResponse(clip.summary(), status_code=201)

    async def clip(self, request: Request) -> Response:
        clip = self._clip(request)
        self.work.project.open(clip)
        return JSONResponse(await run_in_threadpool(self.work.describe_clip, clip))

    async def retry_clip(self, request: Request) -> Response:
        clip = self._clip(request)
        self.work.project.retry(clip)
        return JSONResponse(clip.summary())

    async def remove_clip(self, request: Request) -> Response:
        clip = self._clip(request)
        if self.work.jobs.active(clip.id):
            raise BusyError(f"{clip.name} has a running job: stop it first")
        await run_in_threadpool(self.work.project.remove, clip.id)
        return Response(status_code=204)

    async def set_view(self, request: Request) -> Response:
        opened = self._opened(request)
        values = await _json(request, _MAX_VIEW)
        await run_in_threadpool(setattr, opened, "view", values)
        return Response(status_code=204)

    # frames and masks ------------------------------------------------------------------------------------------------

    async def frame(self, request: Request) -> Response:
        opened = self._opened(request)
        number = self._frame(request, opened)
        try:
            picture = await run_in_threadpool(opened.pictures.get, number)
        except (ValueError, OSError) as error:
            return _error(422, str(error))
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})

    async def mask(self, request: Request) -> Response:
        opened = self._opened(request)
        number = self._frame(request, opened)

        def read() -> tuple[int, bytes | None]:
            revision = opened.annotation.revision(number)
            ids = opened.annotation.mask(number)
            return revision, None if ids is None else gzip.compress(ids.astype("<u2").tobytes(), _GZIP_LEVEL)

        revision, body = await run_in_threadpool(read)
        headers = {"ETag": f'"{revision}"', "Cache-Control": "no-store"}
        if body is None:
            return Response(status_code=204, headers={**headers, "ETag": '"0"'})
        headers["Content-Encoding"] = "gzip"
        return Response(body, media_type="application/octet-stream", headers=headers)

    async def set_mask(self, request: Request) -> Response:
        opened = self._opened(request)
        number = self._frame(request, opened)
        revision = _revision(request)
        action = request.headers.get("x-action", "painting")[:80]
        body = await request.body()
        packed = request.headers.get("content-encoding", "") == "gzip"

        def write() -> int:
            ids = _ids(body, packed, opened.source.size)
            try:
                opened.annotation.give(number, ids, revision=revision, action=action)
            except StaleRevisionError:
                given = opened.annotation.given_mask(number)  # a retry, since the response was lost?
                if given is None or not np.array_equal(given, ids):
                    raise
            return opened.annotation.revision(number)

        return Response(status_code=204, headers={"ETag": f'"{await run_in_threadpool(write)}"'})

    async def remove_mask(self, request: Request) -> Response:
        opened = self._opened(request)
        number, revision = self._frame(request, opened), _revision(request)

        def remove() -> None:
            try:
                opened.annotation.forget(number, revision=revision)
            except StaleRevisionError:
                if opened.annotation.revision(number):  # 0: a retry, since the response was lost
                    raise

        await run_in_threadpool(remove)
        return Response(status_code=204, headers={"ETag": '"0"'})

    # objects ---------------------------------------------------------------------------------------------------------

    async def add_object(self, request: Request) -> Response:
        annotation = self._opened(request).annotation
        values = await _json(request)
        object_id = await run_in_threadpool(annotation.add_object, _text(values, "name", ""))
        return JSONResponse({"id": object_id}, status_code=201)

    async def change_object(self, request: Request) -> Response:
        opened = self._opened(request)
        values = await _json(request)
        await run_in_threadpool(lambda: opened.annotation.change_object(request.path_params["object"], **values))
        return JSONResponse({"changes": opened.changes})

    async def delete_object(self, request: Request) -> Response:
        annotation = self._opened(request).annotation
        frames = await run_in_threadpool(annotation.delete_object, request.path_params["object"])
        return JSONResponse({"frames": frames})

    async def merge_objects(self, request: Request) -> Response:
        annotation = self._opened(request).annotation
        values = await _json(request)
        pair = _integer(values, "from"), _integer(values, "into")
        return JSONResponse({"frames": await run_in_threadpool(annotation.merge_objects, *pair)})

    async def prompt(self, request: Request) -> Response:
        clip, opened = self._clip(request), self._opened(request)
        values = await _json(request)
        number, object_id = _integer(values, "frame"), _integer(values, "object")
        opened.annotation.check_frame(number)
        try:
            points = [(float(x), float(y), bool(positive)) for x, y, positive in values.get("points") or []]
            box = None if values.get("box") is None else tuple(float(value) for value in values["box"])
        except (TypeError, ValueError, OverflowError):
            raise ValueError("points are [x, y, 0 or 1], a box is [x0, y0, x1, y1]") from None
        prompter = str(values.get("prompter") or "grabcut")

        def predict() -> bytes:
            present = opened.annotation.mask(number)
            mask = None if present is None else present == object_id
            found = self.work.prompt(clip, number, points, box, mask, prompter)  # type: ignore[arg-type]
            return gzip.compress(found.astype(np.uint8).tobytes(), _GZIP_LEVEL)

        headers = {"Content-Encoding": "gzip", "Cache-Control": "no-store"}
        async with self._prompting:
            if await request.is_disconnected():  # a later request has replaced it
                return Response(status_code=204)
            found = await run_in_threadpool(predict)
        return Response(found, media_type="application/octet-stream", headers=headers)

    async def quality(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self.work.quality, self._opened(request)))

    async def undo(self, request: Request) -> Response:
        self._opened(request)
        return self._done(await run_in_threadpool(self.work.undo, self._clip(request)), "undo")

    async def redo(self, request: Request) -> Response:
        return self._done(await run_in_threadpool(self._opened(request).annotation.redo), "redo")

    def _done(self, done: tuple[str, list[int]] | None, what: str) -> Response:
        if done is None:
            return _error(409, f"there is nothing to {what}")
        return JSONResponse({"text": done[0], "frames": done[1]})

    async def import_masks(self, request: Request) -> Response:
        return JSONResponse(await import_masks(request, self._opened(request)))

    # jobs and events -------------------------------------------------------------------------------------------------

    async def start_job(self, request: Request) -> Response:
        clip = self._clip(request)
        self._opened(request)
        values = await _json(request)
        kind = values.get("kind")
        if kind == "propagate":
            objects = values.get("objects")
            if objects is not None and not (isinstance(objects, list) and all(type(one) is int for one in objects)):
                raise ValueError("objects must be a list of ids, or null for all")
            first, last, fuse = _integer(values, "first"), _integer(values, "last"), bool(values.get("fuse"))
            job = await run_in_threadpool(self.work.propagate, clip, first, last, objects, fuse)
        elif kind == "overlay":
            job = await run_in_threadpool(self.work.overlay, clip)
        elif kind == "export":
            formats = values.get("formats")
            if not isinstance(formats, list) or not formats or not all(isinstance(one, str) for one in formats):
                raise ValueError("formats must be a list of export formats")
            job = await run_in_threadpool(self.work.export, clip, formats)
        else:
            raise ValueError("kind must be propagate, overlay or export")
        return JSONResponse(job.to_json(), status_code=201)

    async def stop_job(self, request: Request) -> Response:
        self.work.jobs.stop(self._job(request).id)
        return Response(status_code=204)

    async def job_file(self, request: Request) -> Response:
        job = self._job(request)
        if job.file is None or job.state != "done" or not job.file.exists():
            raise FileNotFoundError("this job has no file")
        name = f"{self._clip_of(job.clip).name}_{job.file.name}" if job.kind == "overlay" else job.file.name
        return FileResponse(job.file, filename=name, headers={"Cache-Control": "no-store"})

    async def events(self, request: Request) -> Response:
        stream = self.work.hub.stream(self.work.present)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    # requests --------------------------------------------------------------------------------------------------------

    def _clip(self, request: Request) -> ProjectClip:
        return self._clip_of(request.path_params["clip"])

    def _clip_of(self, clip_id: str) -> ProjectClip:
        try:
            return self.work.project[clip_id]
        except KeyError:
            raise FileNotFoundError("there is no such clip: reload the page") from None

    def _job(self, request: Request) -> Job:
        try:
            return self.work.jobs[request.path_params["job"]]
        except KeyError:
            raise FileNotFoundError("there is no such job: reload the page") from None

    def _opened(self, request: Request) -> OpenClip:
        clip = self._clip(request)
        self.work.project.open(clip)
        if clip.opened is None:
            raise BusyError(clip.error or f"{clip.name} is being opened: wait a moment")
        return clip.opened

    def _frame(self, request: Request, opened: OpenClip) -> int:
        number: int = request.path_params["frame"]
        if not 0 <= number < len(opened.annotation):
            raise FileNotFoundError(f"there is no frame {number}, the last one is {len(opened.annotation) - 1}")
        return number


def build_app(workspace: Workspace, access: Access) -> Starlette:
    """Build the ASGI application of a workspace; ``workspace.close`` is called on shutdown."""
    pages = Mount("/", StaticFiles(directory=STATIC, html=True, check_dir=False))
    return Starlette(
        routes=[*Api(workspace).routes(), Route("/login", _home), pages],
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={
            Exception: _failed,
            **dict.fromkeys((ValueError, OSError, ClientDisconnect, HTTPException), _failed),
        },
    )


async def _home(request: Request) -> Response:
    return RedirectResponse("./")


async def _failed(request: Request, error: Exception) -> Response:
    """Return an error as a one-sentence response; log errors that the user didn't cause."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return _error(507, f"the disk is full, nothing was saved: {error.filename or error.strerror}")
    if isinstance(error, HTTPException):  # of the web framework: an unknown address or a wrong method
        response = _error(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
        response.headers.update(error.headers or {})
        return response
    if isinstance(error, ClientDisconnect):  # nobody reads the response
        return Response(status_code=400)
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return _error(status, str(error))
    if isinstance(error, OSError):  # others are logged by the server
        logger.error("%s %s: %s", request.method, request.url.path, error)
    return _error(500, str(error) or type(error).__name__)


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status_code=status, headers={"Cache-Control": "no-store"})


async def _json(request: Request, limit: int = 2**20) -> dict[str, Any]:
    """Return the body as a JSON object; an empty body counts as an empty object."""
    body = await request.body()
    if len(body) > limit:
        raise TooLargeError(f"the request is larger than {limit} bytes")
    try:
        values = json.loads(body or b"{}", parse_constant=_finite, parse_float=_finite)
        json.dumps(values, ensure_ascii=False).encode()  # reject lone surrogates, which no response could contain
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(values, dict):
        raise ValueError("the body is not a JSON object")
    return values


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


def _integer(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    if type(value) is not int:
        raise ValueError(f"{name} must be an integer")
    return value


def _text(values: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = values.get(name, default)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text")
    return value


def _revision(request: Request) -> int:
    """Return the revision in the ``If-Match`` header, which every change of a mask must have."""
    text = request.headers.get("if-match", "").removeprefix("W/").strip('" ')
    if not text.isdecimal():
        raise ValueError("If-Match must name the revision that the change was made from")
    return int(text)


def _ids(body: bytes, packed: bool, size: tuple[int, int]) -> np.ndarray:
    """Return the ids in a body, H x W uint16, without decompressing more bytes than they need."""
    wanted = 2 * size[0] * size[1]
    if packed:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            body = unpacker.decompress(body, wanted + 1)
        except zlib.error:
            raise ValueError("the body is not gzip data") from None
    if len(body) != wanted:
        raise ValueError(f"the mask must have {wanted} bytes: {size[0]} x {size[1]} (height x width) ids of 16 bits")
    return np.frombuffer(body, "<u2").reshape(size).astype(np.uint16)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        ValueError: the port is out of range.
        OSError: the port is in use, or the address isn't one of this machine; the message names the flag.
    """
    if not 0 <= port < 2**16:
        raise ValueError(f"--port must be between 0 and 65535, got {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise OSError(f"--port {port} is in use: stop the other program, or give another port") from None
        raise OSError(f"--host {host} --port {port}: {error.strerror}") from None
    return listener


def serve(workspace: Workspace, access: Access, listener: socket.socket, *, needed: ProjectClip | None = None) -> None:
    """Serve the page until Ctrl-C or SIGTERM, which are raised here afterwards.

    Args:
        workspace: the work; it is closed at the end.
        access: access control.
        listener: from :func:`bind`.
        needed: a clip that must be opened for the server to continue.

    Raises:
        ValueError: ``needed`` can't be opened.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            workspace.hub.close()  # otherwise open pages keep the server running
            await super().shutdown(sockets)

    app = build_app(workspace, access)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=2**16,
    )
    server = Server(config)

    def end(clip: ProjectClip) -> None:
        server.should_exit = server.should_exit or clip is needed

    workspace.on_failure = end
    try:
        if needed is None or needed.state != "failed":
            server.run(sockets=[listener])
        if needed is not None and needed.state == "failed":
            workspace.project.remove(needed.id)
            raise ValueError(needed.error)
    finally:
        workspace.close()
