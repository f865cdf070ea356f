"""Segmenting what sentences tell, a window of frames at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.configs import suggest
from voskit.configs.models.referformer import ReferFormerConfig
from voskit.dataloaders.tokenizer import Tokenizer
from voskit.dataloaders.transforms import input_size, prepare_image
from voskit.evaluators.segmenter import AMP_TYPES
from voskit.networks import compile_network
from voskit.networks.inference import folded

OPTIONS = ("short_edge", "max_long_edge", "window", "threshold")


@dataclasses.dataclass(frozen=True)
class Referred:
    """What a sentence means in the frames of a window."""

    scores: Tensor
    """Of each candidate, the mean over the frames of its probability to be the object, [Q]."""
    candidate: int
    """The one with the highest score."""
    frame_scores: Tensor
    """Of this one, its probability in each frame, [T]."""
    logits: Tensor
    """Of its masks, at a quarter of the size at which frames were seen, [T, h, w] float32."""
    boxes: Tensor
    """Of this one, cx, cy, w, h as shares of the frame, [T, 4]."""

    def probabilities(self, frame: int, size: tuple[int, int]) -> Tensor:
        """Probability of each pixel of a frame, H x W float32."""
        logits = self.logits[frame, None, None]
        return F.interpolate(logits, size, mode="bilinear", align_corners=False)[0, 0].sigmoid()


class ReferringSegmenter:
    """Segments the objects that sentences tell, in frames that are given a window at a time.

    ::

        segmenter = ReferringSegmenter(build_model("vswinb_referformer", checkpoint="checkpoint.pth"))
        for ids in segmenter.segment(frames, ["a woman in a black top", "the white tent"]):
            ...  # H x W uint8: 0 the background, 1 and 2 what the sentences tell

    Args:
        model: what ``voskit.networks.build_model`` gives. Its weights are taken as they are now.
        tokenizer: None: the one that comes with the project.
        amp: ``"fp16"`` or ``"bf16"`` runs the network in that precision; None: as it is.
        compile: fuse the network's operations with ``torch.compile``; the first frames of each size take minutes.
        **options: ``short_edge``, ``max_long_edge``, ``window``, ``threshold`` of the model's config; None or absent:
            what that says.

    Raises:
        ValueError: a model that takes masks, an option that doesn't exist, or a value out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        tokenizer: Tokenizer | None = None,
        amp: Literal["fp16", "bf16"] | None = None,
        compile: bool = False,
        **options: object,
    ) -> None:
        if not isinstance(model.config, ReferFormerConfig):
            name = type(model.config).__name__
            raise ValueError(f"{name} propagates masks and takes no sentences: VideoSegmenter is for it")
        for name in options:
            if name not in OPTIONS:
                raise ValueError(
                    f"ReferringSegmenter has no option {name!r}: {suggest(name, [*OPTIONS, 'amp', 'compile'])}"
                )
        if amp is not None and amp not in AMP_TYPES:
            raise ValueError(f"amp is 'fp16', 'bf16' or None, got {amp!r}")
        self.model = model
        self.config = model.config.override(**{k: v for k, v in options.items() if v is not None})
        self.amp = amp
        self.tokenizer = Tokenizer() if tokenizer is None else tokenizer
        self._network: Any = folded(model, AMP_TYPES[amp] if amp else None)
        if compile:
            compile_network(self._network)

    @property
    def settings(self) -> dict[str, Any]:
        """What results depend on besides the config, as JSON types."""
        return {"amp": self.amp}

    def segment(
        self, frames: Iterable[np.ndarray], sentences: Sequence[str], *, output_size: tuple[int, int] | None = None
    ) -> Iterator[np.ndarray]:
        """Ids of each frame, H x W uint8: 0 is the background, 1 the first sentence's object, and so on.

        Frames are taken from the iterable a window at a time and aren't kept, so a video of any length will do.

        Args:
            frames: H x W x 3 uint8 RGB, of one size.
            sentences: up to 255.
            output_size: height and width of the results; None: the frames'.

        Raises:
            ValueError: no frame, or one of a wrong shape, type or size; no sentence, or one that can't be used.
        """
        if len(sentences) > 255:
            raise ValueError(f"{len(sentences)} sentences, 255 at most")
        for window in windows(frames, self.config.window):
            found = self.refer(window, sentences)
            size = window[0].shape[:2] if output_size is None else output_size
            for i in range(len(window)):
                yield self.ids([one.probabilities(i, size) for one in found])

    @torch.inference_mode()
    def refer(self, frames: Sequence[np.ndarray], sentences: Sequence[str]) -> list[Referred]:
        """What each sentence means in the frames of one window, which go through the network together.

        Raises:
            ValueError: as for ``segment``.
        """
        _check_frames(frames)
        if isinstance(sentences, str) or not sentences:
            raise ValueError("give one or more sentences, as a list of texts")
        tokens = [self.tokenizer([sentence]) for sentence in sentences]
        device = next(self.model.parameters()).device
        size = input_size(*frames[0].shape[:2], **self.config.input_rule())
        images = torch.stack([prepare_image(f, size, self.config.interpolation, device) for f in frames])[None]
        with self._precision(device):
            encoded = self._network.encode_image(images)
            return [self._refer(encoded, own.to(device)) for own in tokens]

    @torch.inference_mode()
    def candidates(
        self, frames: Sequence[np.ndarray], sentences: Sequence[str], place: int, max_long_edge: int
    ) -> list[tuple[list[float], Tensor, tuple[int, int]]]:
        """All candidates for one of the frames, seen among the others, as A2D-Sentences is answered.

        Args:
            frames, sentences: as in ``refer``.
            place: of the frame that is wanted; the others aren't gone on with after the image encoder.
            max_long_edge: limit of the frames' long edge.

        Returns:
            for each sentence the candidates' probabilities [Q], the logits of their masks [Q, h, w] at a quarter of the
            input's size, which is padded to multiples of 32, and that size without the padding.
        """
        _check_frames(frames)
        tokens = [self.tokenizer([sentence]) for sentence in sentences]
        device = next(self.model.parameters()).device
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
        """Where a sentence's object is, by the threshold alone: H x W bool."""
        return (probabilities_HW > self.config.threshold).cpu().numpy()

    def ids(self, probabilities_HW: Sequence[Tensor]) -> np.ndarray:
        """Which sentence's object each pixel is, as Ref-DAVIS17 is answered: H x W uint8.

        The likeliest one; the background where that has less than a half, whatever the threshold is.
        """
        best, place = torch.stack(list(probabilities_HW)).max(0)
        return torch.where(best >= 0.5, place + 1, 0).to(torch.uint8).cpu().numpy()

    def _refer(self, image: Any, tokens_1L: Tensor) -> Referred:
        network = self._network
        found = network.find(image, network.encode_text(tokens_1L))
        scores, candidate, frame_scores = choose(network.score(found)[0])
        return Referred(
            scores=scores,
            candidate=candidate,
            frame_scores=frame_scores,
            logits=network.masks(found, query=candidate)[0, :, 0],
            boxes=network.boxes(found)[0, :, candidate].float(),
        )

    def _precision(self, device: torch.device) -> AbstractContextManager:
        return torch.autocast(device.type, AMP_TYPES[self.amp]) if self.amp else nullcontext()


def choose(logits_TQK: Tensor) -> tuple[Tensor, int, Tensor]:
    """The candidate for a window, as published.

    Returns:
        The mean over the frames of each candidate's probability [Q], for its likeliest class; the candidate with the
        highest one; its probabilities in the frames [T].
    """
    by_frame = logits_TQK.float().sigmoid()
    scores, label = by_frame.mean(0).max(1)
    candidate = int(scores.argmax())
    return scores, candidate, by_frame[:, candidate, int(label[candidate])]


def windows(frames: Iterable[Any], length: int | None) -> Iterator[list[Any]]:
    """Consecutive parts of so many frames, the last one shorter; None: one part.

    Raises:
        ValueError: there is no frame.
    """
    part: list[Any] = []
    begun = False
    for frame in frames:
        begun = True
        part.append(frame)
        if len(part) == length:
            yield part
            part = []
    if not begun:
        raise ValueError("there are no frames")
    if part:
        yield part


def _check_frames(frames: Sequence[np.ndarray]) -> None:
    if not len(frames):
        raise ValueError("there are no frames")
    for i, frame in enumerate(frames):
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            what = f"{frame.dtype} of shape {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise ValueError(f"a frame is an H x W x 3 uint8 RGB array, got {what}")
        if frame.shape != frames[0].shape or not frame.size:
            first = frames[0].shape
            raise ValueError(
                f"frame {i} of a window has size {frame.shape[0]}x{frame.shape[1]}, the first {first[0]}x{first[1]}"
            )
