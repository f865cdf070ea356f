"""Server-sent events: changes of clips and jobs, merged for slow browsers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

_PAUSE = 0.05  # seconds between events of a stream; changes in between are merged
_HEARTBEAT = 15.0  # seconds after which an idle stream sends a heartbeat
_MERGED = ("revisions", "quality")  # fields that list changed frames; other fields are replaced


class EventHub:
    """Changes for any number of browsers. ``publish`` is thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: set[_Stream] = set()
        self._closed = False

    def publish(self, kind: str, key: str, values: dict[str, Any] | Callable[[], dict[str, Any]]) -> None:
        """Announce a change.

        Args:
            kind: name of the event.
            key: the thing that has changed; its changes are merged until a browser reads them.
            values: JSON types.
        """
        with self._lock:
            streams = list(self._streams)
        if streams and callable(values):
            values = values()
        for stream in streams:
            stream.add(kind, key, values)  # type: ignore[arg-type]

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        with self._lock:
            for stream in self._streams:
                stream.wake()

    async def stream(self, present: Callable[[], list[tuple[str, str, dict[str, Any]]]]) -> AsyncIterator[str]:
        """Yield the text of a stream: ``connected``, the current state, then all changes.

        Args:
            present: returns the events of the current state; called once no change can be missed.
        """
        stream = _Stream(asyncio.get_running_loop())
        with self._lock:
            self._streams.add(stream)
        try:
            stream.begin(present())
            yield "event: connected\ndata: {}\n\n"
            while not self._closed:
                for kind, values in await stream.take():
                    yield f"event: {kind}\ndata: {json.dumps(values)}\n\n"
                await asyncio.sleep(_PAUSE)
                if stream.silent:
                    yield ": alive\n\n"
        finally:
            with self._lock:
                self._streams.discard(stream)


class _Stream:
    """Changes that one browser hasn't read yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str], dict[str, Any]] = {}
        self._ready = asyncio.Event()
        self.silent = False

    def begin(self, events: list[tuple[str, str, dict[str, Any]]]) -> None:
        """Add the current state, except for things that have changed since it was requested."""
        with self._lock:
            self._pending = {(kind, key): values for kind, key, values in events} | self._pending
        self.wake()

    def add(self, kind: str, key: str, values: dict[str, Any]) -> None:
        with self._lock:
            before = self._pending.get((kind, key), {})
            merged = {name: {**before[name], **values[name]} for name in _MERGED if name in before and name in values}
            self._pending[kind, key] = {**before, **values, **merged}
        self.wake()

    def wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ready.set)

    async def take(self) -> list[tuple[str, dict[str, Any]]]:
        """Wait for changes and return them; return none after a timeout."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ready.wait(), _HEARTBEAT)
        self._ready.clear()
        with self._lock:
            pending, self._pending = self._pending, {}
        self.silent = not pending
        return [(kind, values) for (kind, _), values in pending.items()]
