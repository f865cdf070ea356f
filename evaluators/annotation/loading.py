"""Segmenter of the annotation server, built in the background when it is first needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)


class LazySegmenter:
    """A segmenter that is built once, by the first caller, while others wait. A failed build is retried.

    Args:
        name: displayed name of the model.
        build: returns the segmenter.
        changed: called when ``state`` changes.

    Attributes:
        state: ``"waiting"``, ``"loading"``, ``"ready"`` or ``"failed"``.
        error: why it failed.
    """

    def __init__(self, name: str, build: Callable[[], VideoSegmenter], changed: Callable[[], None]) -> None:
        self.name = name
        self.state = "waiting"
        self.error: str | None = None
        self._build = build
        self._changed = changed
        self._lock = threading.Lock()
        self._segmenter: VideoSegmenter | None = None

    def __call__(self) -> VideoSegmenter:
        """Return the segmenter; errors of building it are raised."""
        with self._lock:
            if self._segmenter is None:
                self._set("loading", None)
                try:
                    self._segmenter = self._build()
                except Exception as error:
                    self._set("failed", str(error))
                    raise
                self._set("ready", None)
            return self._segmenter

    def start(self) -> None:
        """Start building it in the background unless that has started. Errors are logged and kept in ``error``."""
        if self.state == "waiting":
            threading.Thread(target=self._load, name="model", daemon=True).start()

    def to_json(self) -> dict[str, Any]:
        """Return name and state for the page."""
        return {"name": self.name, "state": self.state, "error": self.error}

    def _load(self) -> None:
        try:
            self()
        except (ValueError, OSError) as error:
            logger.error("%s", error)
        except Exception:
            logger.exception("the model can't be loaded")

    def _set(self, state: str, error: str | None) -> None:
        self.state, self.error = state, error
        self._changed()
