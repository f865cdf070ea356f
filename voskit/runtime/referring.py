"""Referring video segmentation with an exported ReferFormer: frames and text prompts in, object ids out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from voskit.runtime.graphs import Graphs, check_count, checked_file, read_manifest
from voskit.runtime.images import log_distortion, prepare_image
from voskit.runtime.inputs import check_output_size, rgb_array
from voskit.runtime.prediction import sigmoid

FAMILY = "referformer"


@dataclass(frozen=True)
class ReferredObject:
    """The object of a text prompt in the frames of a window."""

    scores: np.ndarray
    """Score of each candidate, [Q]: its probability of being the object, averaged over the frames."""
    candidate: int
    """Index of the candidate with the highest score, which is taken as the object."""
    frame_scores: np.ndarray
    """Probability of the chosen candidate in each frame, [T]."""
    logits: np.ndarray
    """Logits of the object's masks at a quarter of the network's input size, [T, h, w] float32."""
    boxes: np.ndarray
    """Boxes of the object, [T, 4]: cx, cy, w, h as fractions of the frame."""

    def probabilities(self, frame: int, size: tuple[int, int]) -> np.ndarray:
        """Return the probability of each pixel of a frame, H x W float32; ``size`` is (H, W)."""
        return sigmoid(cv2.resize(self.logits[frame], (size[1], size[0]), interpolation=cv2.INTER_LINEAR))


class OnnxReferringSegmenter:
    """Segmentation of objects described by text prompts, one window of frames at a time, without PyTorch.

    ``segment``, ``refer`` and ``ids`` are those of ``voskit.ReferringSegmenter``, with NumPy arrays for probabilities.

    ::

        segmenter = OnnxReferringSegmenter("exported")
        for ids in segmenter.segment(frames, ["a woman in a black top", "the white tent"]):
            ...  # H x W uint8: 0 is the background, 1 and 2 are the objects of the prompts

    A prompt is a text, which needs the package ``tokenizers``, or a sequence of RoBERTa's token ids with start and end.

    Args:
        folder: written by ``voskit export --format onnx``.
        threads: threads of an operation. Default: one for each core.
        providers: execution providers of ONNX Runtime, best first. Default: the CPU.
        backend: ``"onnxruntime"``, or ``"openvino"`` for the same files in OpenVINO on the CPU.
        precision: with OpenVINO, ``"f32"`` (default), or ``"bf16"`` or ``"f16"`` for processors that compute in it.
        window: frames that go through the network together. Default: the export's.

    Raises:
        FileNotFoundError: the folder has no manifest, or a file is missing.
        ValueError: the folder is of another version or another kind of model, a value is out of range, or a backend
            isn't installed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        backend: str = "onnxruntime",
        precision: str | None = None,
        window: int | None = None,
    ) -> None:
        self.manifest: dict[str, Any] = read_manifest(folder)
        if (family := self.manifest["family"]) != FAMILY:
            raise ValueError(f"{folder} holds a {family}, which takes no text prompts: use OnnxSegmenter")
        if window is not None:
            check_count("window", window)
        self._window: int | None = self.manifest["window"] if window is None else window
        self._most: int | None = self.manifest.get("most_frames")
        if self._window is not None and self._most is not None and self._window > self._most:
            raise ValueError(f"window must be 1 to {self._most}, got {self._window}")
        self._graphs = Graphs(folder, threads, providers, backend, precision)
        self._folder = Path(folder)
        self._tokenizer: Any = None
        self._size: tuple[int, int] | None = None

    def segment(
        self,
        frames: Iterable[Any],
        prompts: Sequence[str | Sequence[int]],
        *,
        output_size: tuple[int, int] | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield the ids of each frame, H x W uint8: 0 is the background, 1 the first prompt's object, and so on.

        Only one window of frames is in memory at a time, so videos may be arbitrarily long.

        Args:
            frames: H x W x 3 uint8 RGB, all of one size; for other accepted forms see ``OnnxSegmenter.step``. They are
                resized to the exported size, whatever their shape.
            prompts: up to 255 texts or sequences of token ids.
            output_size: (height, width) of the results; None: that of the frames.

        Raises:
            ValueError: no frames, or one of the wrong shape, type or size; no prompts, or an invalid one.
        """
        _check_list(prompts)
        if len(prompts) > 255:
            raise ValueError(f"{len(prompts)} text prompts: at most 255 fit into one map of ids")
        check_output_size(output_size)
        for window in _windows(map(rgb_array, frames), self._window):
            found = self.refer(window, prompts)
            size = window[0].shape[:2] if output_size is None else output_size
            for i in range(len(window)):
                yield self.ids([one.probabilities(i, size) for one in found])

    def refer(self, frames: Sequence[Any], prompts: Sequence[str | Sequence[int]]) -> list[ReferredObject]:
        """Return the object of each prompt in one window of frames, processed jointly.

        Raises:
            ValueError: see ``segment``.
        """
        if not len(frames):
            raise ValueError("there are no frames")
        if self._most is not None and len(frames) > self._most:
            raise ValueError(f"{len(frames)} frames: the exported network takes up to {self._most} together")
        arrays = [rgb_array(frame) for frame in frames]
        shape = (arrays[0].shape[0], arrays[0].shape[1])
        for i, frame in enumerate(arrays):
            if frame.shape[:2] != shape:
                raise ValueError(
                    f"frame {i} of a window has size {frame.shape[0]}x{frame.shape[1]}, the first {shape[0]}x{shape[1]}"
                )
        _check_list(prompts)
        tokens = [self._tokens(prompt) for prompt in prompts]
        if shape != self._size:
            log_distortion(shape, self.manifest)
            self._size = shape
        images = np.concatenate([prepare_image(frame, self.manifest) for frame in arrays])[None]
        return [_choose(**self._graphs.run("window", {"frames": images, "tokens": own[None]})) for own in tokens]

    def ids(self, probabilities_HW: Sequence[np.ndarray]) -> np.ndarray:
        """Return the ids of the objects, H x W uint8.

        A pixel belongs to the most probable object, or to the background if that object's probability is below 0.5.
        """
        stacked = np.stack(list(probabilities_HW))
        return np.where(stacked.max(0) >= 0.5, stacked.argmax(0) + 1, 0).astype(np.uint8)

    def _tokens(self, prompt: Any) -> np.ndarray:
        """Return the token ids of a prompt, [L] int64, after checks."""
        rule = self.manifest["tokens"]
        if isinstance(prompt, str):
            if not prompt.strip():
                raise ValueError(f"a text prompt must describe the object in words, got {prompt!r}")
            if self._tokenizer is None:
                self._tokenizer = _load_tokenizer(self._folder, rule["files"])
            prompt = [rule["start"], *self._tokenizer.encode(prompt).ids, rule["end"]]
        tokens = np.asarray(prompt)
        if tokens.ndim != 1 or not tokens.size or not np.issubdtype(tokens.dtype, np.integer):
            raise ValueError(f"a prompt must be a text or a sequence of token ids, got {prompt!r}")
        if len(tokens) > rule["longest"]:
            raise ValueError(f"a text prompt has {len(tokens)} tokens, but the limit is {rule['longest']}: shorten it")
        if tokens.min() < 0 or tokens.max() >= rule["count"]:
            raise ValueError(f"token ids must be 0 to {rule['count'] - 1}, got {tokens.min()} to {tokens.max()}")
        return tokens.astype(np.int64)


def _check_list(prompts: Any) -> None:
    if isinstance(prompts, str) or not len(prompts):
        raise ValueError("prompts must be a list of one or more texts")


def _load_tokenizer(folder: Path, files: dict[str, Any]) -> Any:
    """Load RoBERTa's tokenizer from the files of an export."""
    vocabulary, merges = (checked_file(folder, files[name]) for name in ("vocab.json", "merges.txt"))
    try:
        from tokenizers import ByteLevelBPETokenizer
    except ImportError as error:
        raise ValueError(
            f"text prompts need the package tokenizers ({error}): pip install tokenizers, or pass token ids"
        ) from error
    return ByteLevelBPETokenizer(str(vocabulary), str(merges))


def _choose(scores: np.ndarray, masks: np.ndarray, boxes: np.ndarray) -> ReferredObject:
    """Choose the best candidate of a window, by the probability of its likeliest class, averaged over the frames."""
    by_frame = sigmoid(scores)
    means = by_frame.mean(0)
    labels = means.argmax(1)
    best = means.max(1)
    candidate = int(best.argmax())
    return ReferredObject(
        scores=best,
        candidate=candidate,
        frame_scores=by_frame[:, candidate, labels[candidate]],
        logits=np.ascontiguousarray(masks[:, candidate]),
        boxes=boxes[:, candidate],
    )


def _windows(frames: Iterable[np.ndarray], length: int | None) -> Iterator[list[np.ndarray]]:
    """Yield consecutive windows of ``length`` frames; the last may be shorter. ``length`` None: one window."""
    part: list[np.ndarray] = []
    is_empty = True
    for frame in frames:
        is_empty = False
        part.append(frame)
        if len(part) == length:
            yield part
            part = []
    if is_empty:
        raise ValueError("there are no frames")
    if part:
        yield part
