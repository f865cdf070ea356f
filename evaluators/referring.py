"""Referring video object segmentation from text prompts, one window of frames at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from voskit.configs import suggest
from voskit.configs.models.referformer import ReferFormerConfig
from voskit.dataloaders.tokenizer import Tokenizer
from voskit.dataloaders.transforms import input_size, prepare_image
from voskit.evaluators.frame_checks import ImageLike, check_output_size, frame_array
from voskit.networks.inference import AMP_TYPES, compile_network, folded
from voskit.networks.models.base import Network

OPTIONS = ("short_edge", "max_long_edge", "window", "threshold")


@dataclasses.dataclass(frozen=True)
class ReferredObject:
    """Object of a text prompt in a window of frames."""

    scores: Tensor
    """Score of each candidate, [Q]: its probability of being the object, averaged over the frames."""
    candidate: int
    """Index of the candidate with the highest score, which is taken as the object."""
    frame_scores: Tensor
    """Probability of the chosen candidate in each frame, [T]."""
    logits: Tensor
    """Logits of the object's masks at a quarter of the network's input size, [T, h, w] float32."""
    boxes: Tensor
    """Boxes of the object, [T, 4]: cx, cy, w, h as fractions of the frame."""

    def probabilities(self, frame: int, size: tuple[int, int]) -> Tensor:
        """Return the probability of each pixel of a frame, H x W float32; ``size`` is (H, W)."""
        logits = self.logits[frame, None, None]
        return F.interpolate(logits, size, mode="bilinear", align_corners=False)[0, 0].sigmoid()


class ReferringSegmenter:
    """Segmentation of objects described by text prompts, one window of frames at a time.

    ::

        segmenter = ReferringSegmenter(build_model("vswinb_referformer", checkpoint="checkpoint.pth"))
        for ids in segmenter.segment(frames, ["a woman in a black top", "the white tent"]):
            ...  # H x W uint8: 0 is the background, 1 and 2 are the objects of the prompts

    Args:
        model: a referring network from ``voskit.build_model``. Some of its weights are copied and others
            shared: after changing weights, build a new segmenter.
        tokenizer: tokenizer of the text prompts; None: the bundled one.
        amp: ``"fp16"`` or ``"bf16"`` runs the network under autocast; None: no autocast.
        compile: fuse the network's operations with ``torch.compile``; the first frames of each size take minutes.
        **options: ``short_edge``, ``max_long_edge``, ``window``, ``threshold`` of the model's config; None or absent:
            the model's value.

    Raises:
        ValueError: a model that takes masks, an unknown option, or a value out of range.
    """

    def __init__(
        self,
        model: Network,
        *,
        tokenizer: Tokenizer | None = None,
        amp: Literal["fp16", "bf16"] | None = None,
        compile: bool = False,
        **options: object,
    ) -> None:
        if not isinstance(model.config, ReferFormerConfig):
            name = type(model.config).__name__
            raise ValueError(f"{name} takes masks, not text prompts: use VideoSegmenter")
        for name in options:
            if name not in OPTIONS:
                raise ValueError(
                    f"ReferringSegmenter has no option {name!r}: {suggest(name, [*OPTIONS, 'amp', 'compile'])}"
                )
        if amp is not None and amp not in AMP_TYPES:
            raise ValueError(f"amp must be 'fp16', 'bf16' or None, got {amp!r}")
        self.model = model
        self.config = model.config.override(**{k: v for k, v in options.items() if v is not None})
        self.amp = amp
        self.tokenizer = Tokenizer() if tokenizer is None else tokenizer
        self._network: Any = folded(model, AMP_TYPES[amp] if amp else None).eval()
        self._compiled = compile
        if compile:
            compile_network(self._network)

    @property
    def device(self) -> torch.device:
        """Device of the model's weights."""
        return next(self.model.parameters()).device

    @property
    def settings(self) -> dict[str, Any]:
        """Everything besides config and weights that affects the results, as JSON types."""
        return {"amp": self.amp}

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments that build an equivalent segmenter, given the same config."""
        return {"tokenizer": self.tokenizer, "amp": self.amp, "compile": self._compiled}

    def segment(
        self, frames: Iterable[ImageLike], prompts: Sequence[str], *, output_size: tuple[int, int] | None = None
    ) -> Iterator[np.ndarray]:
        """Yield the ids of each frame, H x W uint8: 0 is the background, 1 the first prompt's object, and so on.

        Only one window of frames is in memory at a time, so videos may be arbitrarily long.

        Args:
            frames: H x W x 3 uint8 RGB, all of one size; for other accepted forms see ``VideoSegmenter.step``.
            prompts: up to 255 texts.
            output_size: (height, width) of the results; None: that of the frames.

        Raises:
            ValueError: no frames, or one of the wrong shape, type or size; no prompts, or an invalid one.
        """
        _check_list(prompts)
        check_number(prompts)
        check_output_size(output_size)
        for window in windows(map(frame_array, frames), self.config.window):
            found = self.refer(window, prompts)
            size = window[0].shape[:2] if output_size is None else output_size
            for i in range(len(window)):
                yield self.ids([one.probabilities(i, size) for one in found])

    @torch.inference_mode()
    def refer(self, frames: Sequence[ImageLike], prompts: Sequence[str]) -> list[ReferredObject]:
        """Return the object of each text prompt in one window of frames, processed jointly.

        Raises:
            ValueError: see ``segment``.
        """
        frames = _frame_arrays(frames)
        _check_list(prompts)
        tokens = [self.tokenizer([prompt]) for prompt in prompts]
        device = self.device
        size = input_size(*frames[0].shape[:2], **self.config.input_rule())
        images = torch.stack([prepare_image(f, size, self.config.interpolation, device) for f in frames])[None]
        with self._precision(device):
            encoded = self._network.encode_image(images)
            return [self._refer(encoded, own.to(device)) for own in tokens]

    @torch.inference_mode()
    def candidates(
        self, frames: Sequence[ImageLike], prompts: Sequence[str], place: int, max_long_edge: int
    ) -> list[tuple[list[float], Tensor, tuple[int, int]]]:
        """Return all candidates in one frame, as needed for A2D-Sentences; the other frames are context.

        Args:
            frames, prompts: see ``refer``.
            place: index of the frame; only the image encoder sees the others.
            max_long_edge: limit of the frames' long edge.

        Returns:
            for each prompt: the candidates' probabilities [Q], the logits of their masks [Q, h, w] at a quarter of the
            padded input size (multiples of 32), and the input size before padding.
        """
        frames = _frame_arrays(frames)
        tokens = [self.tokenizer([prompt]) for prompt in prompts]
        device = self.device
        rule = {**self.config.input_rule(), "max_long_edge": self.config.max_long_edge or max_long_edge}
        size = input_size(*frames[0].shape[:2], **rule)
        images = torch.stack([prepare_image(f, size, self.config.interpolation, device) for f in frames])[None]
        padded = F.pad(images, (0, -size[1] % 32, 0, -size[0] % 32))
        network, found = self._network, []
        with self._precision(device):
            sizes, kept = torch.tensor([size]), torch.tensor([place])
            encoded = network.encode_image(padded, sizes, kept)
            for own in tokens:
                seen = network.find(encoded, network.encode_text(own.to(device)))
                scores = network.score(seen)[0, 0, :, 0].float().sigmoid().tolist()
                found.append((scores, network.masks(seen)[0, 0], size))
        return found

    def mask(self, probabilities_HW: Tensor) -> np.ndarray:
        """Return the mask of one object, H x W bool: pixels whose probability exceeds the config's threshold."""
        return (probabilities_HW > self.config.threshold).cpu().numpy()

    def ids(self, probabilities_HW: Sequence[Tensor]) -> np.ndarray:
        """Return the ids of the objects, H x W uint8, as Ref-DAVIS17 evaluates them.

        A pixel belongs to the most probable object, or to the background if that object's probability is below 0.5;
        the config's threshold has no effect.
        """
        best, place = torch.stack(list(probabilities_HW)).max(0)
        return torch.where(best >= 0.5, place + 1, 0).to(torch.uint8).cpu().numpy()

    def _refer(self, image: Any, tokens_1L: Tensor) -> ReferredObject:
        network = self._network
        found = network.find(image, network.encode_text(tokens_1L))
        scores, candidate, frame_scores = choose(network.score(found)[0])
        return ReferredObject(
            scores=scores,
            candidate=candidate,
            frame_scores=frame_scores,
            logits=network.masks(found, query=candidate)[0, :, 0],
            boxes=network.boxes(found)[0, :, candidate].float(),
        )

    def _precision(self, device: torch.device) -> AbstractContextManager:
        return torch.autocast(device.type, AMP_TYPES[self.amp]) if self.amp else nullcontext()


def _check_list(prompts: Any) -> None:
    if isinstance(prompts, str) or not prompts:
        raise ValueError("prompts must be a list of one or more strings")


def check_number(prompts: Sequence[str]) -> None:
    """Raise ValueError if there are more text prompts than 8-bit ids (255)."""
    if len(prompts) > 255:
        raise ValueError(f"{len(prompts)} text prompts: at most 255 fit into one map of ids")


def choose(logits_TQK: Tensor) -> tuple[Tensor, int, Tensor]:
    """Choose the best candidate of a window, as ReferFormer's published code does.

    Args:
        logits_TQK: class logits for each frame and candidate.

    Returns:
        The score of each candidate [Q]: the probability of its likeliest class, averaged over the frames;
        the index of the candidate with the highest score; its probability in each frame [T].
    """
    by_frame = logits_TQK.float().sigmoid()
    scores, label = by_frame.mean(0).max(1)
    candidate = int(scores.argmax())
    return scores, candidate, by_frame[:, candidate, int(label[candidate])]


def windows(frames: Iterable[Any], length: int | None) -> Iterator[list[Any]]:
    """Yield consecutive windows of ``length`` frames; the last may be shorter. With ``length`` None, yield one window.

    Raises:
        ValueError: there are no frames.
    """
    part: list[Any] = []
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


def _frame_arrays(frames: Sequence[ImageLike]) -> list[np.ndarray]:
    """Convert the frames of a window to RGB arrays.

    Raises:
        ValueError: there are no frames, or they aren't RGB frames of one size.
    """
    if not len(frames):
        raise ValueError("there are no frames")
    arrays = [frame_array(frame) for frame in frames]
    for i, frame in enumerate(arrays):
        if frame.shape != arrays[0].shape:
            first = arrays[0].shape
            raise ValueError(
                f"frame {i} of a window has size {frame.shape[0]}x{frame.shape[1]}, the first {first[0]}x{first[1]}"
            )
    return arrays
