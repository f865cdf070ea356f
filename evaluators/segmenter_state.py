"""Saved state of a video: what a ``VideoSegmenter`` remembers between two frames, as tensors and plain values.

The state contains no code: it is read with ``torch.load(..., weights_only=True)``. Objects are stored as the names of
    their classes and their attributes; only classes that are already loaded are instantiated. Network and config are
    never stored.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from voskit.configs import ModelConfig
from voskit.evaluators.quality import frame_areas
from voskit.evaluators.segmenter import SegmentedFrame

if TYPE_CHECKING:
    from voskit.evaluators.segmenter import VideoSegmenter

_KIND = "kind"
_CONTAINERS: dict[str, Any] = {"list": list, "tuple": tuple, "set": set, "deque": deque, "dict": dict}


def segmenter_state(segmenter: VideoSegmenter) -> dict[str, Any]:
    """Return the state of a segmenter between two frames. Its tensors aren't copies: later frames change them in place.

    Raises:
        ValueError: an engine or a policy holds something that can't be stored.
    """
    return {
        "size": segmenter._size,
        "engines": [_Encoder(engine).attributes(engine) for engine in segmenter._engines],
        "shots": None if segmenter._shots is None else segmenter._shots.state(),
        "areas": None if segmenter._last is None else frame_areas(segmenter._last),
        "white": segmenter._white,
    }


def restore_state(segmenter: VideoSegmenter, state: dict[str, Any]) -> None:
    """Continue a video: the next frames get the same masks as from the segmenter of ``state``.

    Args:
        segmenter: with the same network, config and options.
        state: from :func:`segmenter_state`.

    Raises:
        ValueError: the state is that of a different kind of segmenter.
    """
    engines = segmenter._engines
    if len(engines) != len(state["engines"]):
        raise ValueError(f"the state has {len(state['engines'])} views, the segmenter {len(engines)}")
    decoded = [_Decoder(engine).attributes(stored) for engine, stored in zip(engines, state["engines"], strict=True)]
    for engine, attributes in zip(engines, decoded, strict=True):
        vars(engine).update(attributes)
    segmenter._size = None if state["size"] is None else tuple(state["size"])
    if segmenter._shots is not None and state.get("shots") is not None:
        segmenter._shots.restore(state["shots"])
    areas = state.get("areas")
    segmenter._last = None if areas is None else SegmentedFrame(torch.empty(0), {}, (), [], areas, {})
    segmenter._before = None
    segmenter._white = state.get("white", False)


class _Encoder:
    """Conversion of one engine's objects to plain values; shared objects stay shared."""

    def __init__(self, engine: object) -> None:
        self._packages = _packages(engine)
        self._numbers: dict[int, int] = {}
        self._alive: list[object] = []  # keeps stored objects alive, so that no other object gets the same id()

    def attributes(self, value: object, path: tuple[str, ...] | None = ()) -> dict[str, Any]:
        """Encode the attributes of an object; ``path`` leads to it from the engine, None inside of containers."""
        own = vars(value).items()
        return {name: self.encode(part, None if path is None else (*path, name)) for name, part in own}

    def encode(self, value: Any, path: tuple[str, ...] | None = None) -> Any:
        if value is None or isinstance(value, (bool, int, float, str, Tensor)):
            return value
        if path is not None and (isinstance(value, (nn.Module, ModelConfig)) or callable(value)):
            return {_KIND: "kept", "path": list(path)}
        if isinstance(value, np.generic):
            return value.item()
        if id(value) in self._numbers:
            return {_KIND: "shared", "number": self._numbers[id(value)]}
        self._numbers[id(value)] = len(self._alive)
        self._alive.append(value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return {_KIND: "object", "class": _name_of(type(value)), "items": [self.encode(x) for x in value]}
        for kind, container in _CONTAINERS.items():
            if type(value) is container:
                items = [list(pair) for pair in value.items()] if kind == "dict" else value
                stored = {_KIND: kind, "items": [self._item(x, kind) for x in items]}
                return {**stored, "maxlen": value.maxlen} if kind == "deque" else stored
        known = _package(type(value)) in self._packages and "<locals>" not in type(value).__qualname__
        if known and hasattr(value, "__dict__") and not isinstance(value, nn.Module):
            return {_KIND: "object", "class": _name_of(type(value)), "attributes": self.attributes(value, path)}
        raise ValueError(f"{'.'.join(path or ('an item',))}: a {type(value).__name__} can't be stored")

    def _item(self, value: Any, kind: str) -> Any:
        return [self.encode(x) for x in value] if kind == "dict" else self.encode(value)


class _Decoder:
    """Conversion of plain values to the objects of a fresh engine."""

    def __init__(self, engine: object) -> None:
        self._engine = engine
        self._packages = _packages(engine)
        self._objects: list[Any] = []

    def attributes(self, stored: dict[str, Any]) -> dict[str, Any]:
        return {name: self.decode(part) for name, part in stored.items()}

    def decode(self, stored: Any) -> Any:
        if not isinstance(stored, dict):
            return stored
        kind = stored[_KIND]
        if kind == "kept":
            return self._kept(stored["path"])
        if kind == "shared":
            return self._objects[stored["number"]]
        number = len(self._objects)
        self._objects.append(None)
        if kind == "object" and "attributes" in stored:
            new = object.__new__(self._class(stored["class"]))
            self._objects[number] = new
            vars(new).update(self.attributes(stored["attributes"]))
            return new
        if kind == "object":
            new = self._class(stored["class"])(*map(self.decode, stored["items"]))
        elif kind == "dict":
            new = {self.decode(key): self.decode(value) for key, value in stored["items"]}
        elif kind == "deque":
            new = deque(map(self.decode, stored["items"]), maxlen=stored["maxlen"])
        else:
            new = _CONTAINERS[kind](map(self.decode, stored["items"]))
        self._objects[number] = new
        return new

    def _kept(self, path: list[str]) -> Any:
        """Return an attribute of the fresh engine, such as its network."""
        value: Any = self._engine
        for name in path:
            if not hasattr(value, "__dict__") or not hasattr(value, name):
                raise ValueError(f"the state has {'.'.join(path)}, which a {type(self._engine).__name__} doesn't")
            value = getattr(value, name)
        return value

    def _class(self, name: str) -> Any:
        """Return a loaded class of the project, or of the module of a user's engine or policy."""
        module, _, qualified = name.partition(":")
        found: Any = sys.modules.get(module) if module.partition(".")[0] in self._packages else None
        for part in qualified.split("."):
            found = getattr(found, part, None)
        if not isinstance(found, type):
            raise ValueError(f"the state has an object of the unknown class {name}")
        return found


def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _packages(engine: object) -> set[str]:
    """Return the packages whose objects are stored: the project, and those of a user's engine and policy."""
    own = {_package(kind) for kind in (_Encoder, type(engine), type(getattr(engine, "_policy", None)))}
    return own - {"builtins"}


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]
