"""The one pipeline for a person's frames: uint8 RGB in, the user's own object ids in and out."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, cast, overload

import numpy as np
import torch
from torch import Tensor, nn

from voskit.configs import INFERENCE_FIELDS, PropagationConfig, models_with_depths, suggest
from voskit.dataloaders.transforms import input_size, prepare_image
from voskit.evaluators.frame_rate import FrameRateKeeper
from voskit.networks import compile_network
from voskit.networks.engines import DepthChoice, Engine, Step, Work, average, likeliest, look_up, run, run_together
from voskit.networks.inference import folded
from voskit.networks.memory import MemoryPolicy

AMP_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
MAX_ID = 65535


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """One of the views that test-time augmentation averages."""

    scale: float
    flip: bool


class VideoSegmenter:
    """Segments a video frame by frame, given the masks of its objects where they appear.

    ::

        segmenter = VideoSegmenter(build_model("r50_deaotl", checkpoint="R50_DeAOTL_PRE_YTB_DAV.pth"))
        ids = segmenter.step(first_frame, mask=first_mask)
        for frame in frames:
            ids = segmenter.step(frame)

    Args:
        model: what ``voskit.networks.build_model`` gives. Its weights are taken as they are now. It may be in
        training mode:
            it is run as in evaluation all the same, and left as it is.
        scales: test scales; probabilities are averaged over them.
        flip: average over horizontally flipped copies, too.
        amp: ``"fp16"`` or ``"bf16"`` runs the network in that precision; None: as it is.
        compile: fuse the network's operations with ``torch.compile``; the first frames of each size take minutes.
        target_fps: choose the depth of the network so that ``step`` holds this many predicted frames a second, see
            :class:`~voskit.evaluators.frame_rate.FrameRateKeeper`. Results then depend on the machine's speed.
            None: the depth
            is left alone.
        clock: gives the time in seconds where ``target_fps`` is asked for; None: ``time.perf_counter``.
        policy: which frames the long-term memory holds, in place of the family's own rule; gap and bound of
            the config then do nothing.
        **options: fields of ``PropagationConfig`` (``max_short_edge``, ``max_long_edge``, ``short_edge``,
            ``long_term_gap``, ``short_term_skip``, ``max_memory_frames``, ...); None or absent: what the model's config
            says. ``max_memory_frames="unbounded"``: no bound, where the config has one.

    Raises:
        ValueError: an option that doesn't exist (near names are listed) or a value out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        amp: Literal["fp16", "bf16"] | None = None,
        compile: bool = False,
        target_fps: float | None = None,
        clock: Callable[[], float] | None = None,
        policy: MemoryPolicy | None = None,
        **options: object,
    ) -> None:
        if not isinstance(model.config, PropagationConfig):
            name = type(model.config).__name__
            raise ValueError(f"{name} takes sentences and propagates no masks: ReferringSegmenter is for it")
        if (dtype := next(model.parameters()).dtype) != torch.float32:
            raise ValueError(f"the network's weights are {dtype}: leave them float32, amp is for half precision")
        for name in options:
            if name not in INFERENCE_FIELDS:
                known = [*INFERENCE_FIELDS, "scales", "flip", "amp", "compile", "target_fps", "clock", "policy"]
                raise ValueError(f"VideoSegmenter has no option {name!r}: {suggest(name, known)}")
        if amp is not None and amp not in AMP_TYPES:
            raise ValueError(f"amp is 'fp16', 'bf16' or None, got {amp!r}")
        scales = tuple(scales)
        if not scales or any(not 0 < s < math.inf for s in scales):
            raise ValueError(f"scales are one or more positive numbers, got {scales}")
        fields = {k: v for k, v in options.items() if v is not None}
        if fields.get("max_memory_frames") == "unbounded":
            fields["max_memory_frames"] = None
        config = model.config.override(**fields)
        if len(scales) > 1 and config.max_short_edge is None:
            config = config.override(max_short_edge=config.max_short_edge_multi_scale)
        self.model = model
        self.config = config
        self.amp = amp
        self.policy = policy
        flips = {"both": (False, True), "mirrored": (True,)}[config.flip_views] if flip else (False,)
        self.augmentations = [Augmentation(s, f) for s in scales for f in flips]
        self._network: Any = folded(model, AMP_TYPES[amp] if amp else None).eval()
        if compile:
            compile_network(self._network)
        self._engines = self._new_engines()
        self._size: tuple[int, int] | None = None
        self._rate: FrameRateKeeper | None = None
        if target_fps is not None:
            self._check_depth_can_be_chosen("target_fps")
            self._rate = FrameRateKeeper(target_fps, self.config.depths, clock)

    @property
    def target_fps(self) -> float | None:
        """The frame rate that is held by choosing the depth; None: the depth is left alone."""
        return self._rate.target_fps if self._rate else None

    @property
    def depth(self) -> int | None:
        """Layers of the network that are run, where that can be chosen; else None."""
        return self._depth_choices[0].depth if self.config.depths else None

    @property
    def settings(self) -> dict[str, Any]:
        """What results depend on besides the config, as JSON types."""
        return {
            "scales": sorted({a.scale for a in self.augmentations}),
            "flip": any(a.flip for a in self.augmentations),
            "amp": self.amp,
            "target_fps": self.target_fps,
            **({} if self.policy is None else {"policy": repr(self.policy)}),
        }

    def set_depth(self, depth: int) -> None:
        """Run this many layers of the network from the next frame on, at any time of a video; ``reset`` leaves it so.

        Fewer layers are faster. What deeper layers need to come back is kept, so that the depth can be raised again.

        Raises:
            ValueError: the model has but one depth, or this one isn't among ``config.depths``; nothing is changed then.
        """
        self._check_depth_can_be_chosen("set_depth")
        for engine in self._depth_choices:
            engine.set_depth(depth)

    @property
    def _depth_choices(self) -> list[DepthChoice]:
        return cast("list[DepthChoice]", self._engines)

    def _check_depth_can_be_chosen(self, what: str) -> None:
        if not self.config.depths:
            raise ValueError(
                f"{what}: {type(self.config).__name__} has one depth only; models whose depth can be chosen: "
                f"{', '.join(models_with_depths())}"
            )

    @property
    def object_ids(self) -> list[int]:
        """The objects' ids, in the order in which they were added; those of one mask ascending, or by their groups."""
        return self._engines[0].object_ids

    @property
    def memory_frames(self) -> int:
        """Frames in the long-term memory."""
        return self._engines[0].memory_frames

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated for the long-term memories of all augmentations."""
        return sum(engine.memory_bytes for engine in self._engines)

    def reset(self) -> None:
        """Forget the video: the next frame is the first of another one."""
        for engine in self._engines:
            engine.reset()
        self._size = None
        if self._rate is not None:
            self._rate.begin_video()

    @torch.inference_mode()
    def delete_objects(self, ids: Iterable[int]) -> None:
        """Forget objects: their pixels go to others or to the background from the next frame on.

        Raises:
            ValueError: an id that isn't there.
        """
        ids = list(ids)
        for engine in self._engines:
            engine.delete_objects(ids)

    @overload
    def step(
        self,
        frame: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        complete: bool = False,
        return_probs: Literal[False] = False,
        output_size: tuple[int, int] | None = None,
    ) -> np.ndarray: ...
    @overload
    def step(
        self,
        frame: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        complete: bool = False,
        return_probs: Literal[True],
        output_size: tuple[int, int] | None = None,
    ) -> tuple[np.ndarray, Tensor]: ...

    def step(
        self,
        frame: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        complete: bool = False,
        return_probs: bool = False,
        output_size: tuple[int, int] | None = None,
    ) -> np.ndarray | tuple[np.ndarray, Tensor]:
        """Segment the next frame.

        Args:
            frame: H x W x 3 uint8 RGB, of the same size throughout a video.
            mask: H x W integers, the ids of objects where the user gives them (1 to 65535). Pixels that aren't 0 win
                over the prediction, and new ids are objects from here on. (XMem and JointFormer see masks at the size
                of their input, as published: of objects that are a few pixels large there, not all pixels come back.)
            complete: the mask says where all objects are, so that its 0 is the background, not the prediction: for
                corrections that take pixels away, too. It may be 0 throughout. Without a mask this says nothing.
            return_probs: give probabilities, too.
            output_size: height and width of the results; None: the frame's.

        Returns:
            ids, H x W uint8, or uint16 where an id is above 255; 0 is the background. With ``return_probs`` also
            probabilities, (objects + 1) x H x W float32, row 0 the background, then ``object_ids``; 0 and 1 (or nearly
            so, where the family lets given masks compete) where the mask was given.

        Raises:
            ValueError: frame or mask of a wrong shape, type or size, or ids out of range; nothing is remembered then.
        """
        if self._rate is None:
            return _usable(self._step(frame, mask, complete, return_probs, output_size))
        begin = self._rate.clock()
        result = self._step(frame, mask, complete, return_probs, output_size)
        seconds = self._rate.clock() - begin
        if mask is None and self.object_ids:
            assert self.depth is not None
            self.set_depth(self._rate.after_frame(self.depth, seconds))
        return _usable(result)

    def another(self) -> VideoSegmenter:
        """A segmenter for a further video, with the same network (not a copy of it) and the same settings.

        Raises:
            ValueError: this one holds a frame rate, which it couldn't while others run beside it.
        """
        if self._rate is not None:
            raise ValueError("target_fps is for one video at a time: a segmenter that holds it has no others")
        other = copy.copy(self)
        other._engines = self._new_engines()
        other._size = None
        if self.depth is not None:
            other.set_depth(self.depth)
        return other

    @staticmethod
    def step_together(
        segmenters: Sequence[VideoSegmenter],
        frames: Sequence[np.ndarray],
        masks: Sequence[np.ndarray | None] | None = None,
        *,
        return_probs: bool = False,
        output_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[Any]:
        """Segment the next frames of several videos, a frame of each: what ``step`` gives, but for rounding errors.

        Frames that have one size go through the network as a batch (AOT and its kin: all of it, with up to
        ``max_objects`` objects; XMem: the image encoder). This pays on a GPU that one video doesn't fill.

        Args:
            segmenters: one for each video, all made by ``another`` of one of them.
            frames: H x W x 3 uint8 RGB each.
            masks: as in ``step``, or None, for each; None: no masks.
            return_probs: give probabilities, too.
            output_sizes: height and width of the results, or None, for each; None: the frames'.

        Raises:
            ValueError: as ``step`` does; or segmenters that don't share a network. Nothing is remembered then.
        """
        count = len(segmenters)
        masks = [None] * count if masks is None else masks
        sizes = [None] * count if output_sizes is None else output_sizes
        if not count == len(frames) == len(masks) == len(sizes):
            raise ValueError(f"{count} segmenters, {len(frames)} frames, {len(masks)} masks, {len(sizes)} output sizes")
        if len({id(s) for s in segmenters}) < count or len({id(s._network) for s in segmenters}) > 1:
            raise ValueError("videos that go together have a segmenter each, all made by another() of one of them")
        items = list(zip(segmenters, frames, masks, sizes, strict=True))
        for segmenter, frame, mask, size in items:
            segmenter.check(frame, mask, size)
        with torch.inference_mode():
            works = [segmenter._works(frame, mask, size) for segmenter, frame, mask, size in items]
            with segmenters[0]._precision() if segmenters else nullcontext():
                steps = iter(run_together([work for own in works for work in own]))
            results = [
                segmenter._result(list(itertools.islice(steps, len(own))), return_probs)
                for segmenter, own in zip(segmenters, works, strict=True)
            ]
        return [_usable(result) for result in results]

    def _new_engines(self) -> list[Engine]:
        return [self._network.new_engine(self.config, self.policy) for _ in self.augmentations]

    @torch.inference_mode()
    def _step(
        self,
        frame: np.ndarray,
        mask: np.ndarray | None,
        complete: bool,
        return_probs: bool,
        output_size: tuple[int, int] | None,
    ) -> np.ndarray | tuple[np.ndarray, Tensor]:
        """What ``step`` does, the frame rate aside."""
        self.check(frame, mask, output_size)
        works = self._works(frame, mask, output_size, complete)
        with self._precision():
            steps = [run(work) for work in works]
        return self._result(steps, return_probs)

    def _works(
        self,
        frame: np.ndarray,
        mask: np.ndarray | None,
        output_size: tuple[int, int] | None,
        complete: bool = False,
    ) -> list[Work[Step]]:
        """What is to be done, for the engine of each augmentation."""
        self._size = (frame.shape[0], frame.shape[1])
        given = None if mask is None else torch.from_numpy(np.asarray(mask).astype(np.int32)).to(self._device)
        works = []
        for engine, view, image in zip(self._engines, self.augmentations, self._views(frame), strict=True):
            own = given.flip(1) if given is not None and view.flip else given
            works.append(engine.work(image, output_size or self._size, own, complete))
        return works

    def _result(self, steps: Sequence[Step], return_probs: bool) -> np.ndarray | tuple[np.ndarray, Tensor]:
        """What the engines say -> what ``step`` gives."""
        predictions = [s.prediction for s in steps if s.prediction is not None]
        flipped = [view.flip for view in self.augmentations]
        probs = average(predictions, flipped) if predictions and return_probs else None
        slots_HW = steps[0].slots_HW
        if predictions and (len(predictions) > 1 or flipped[0]):
            if probs is not None:
                best = likeliest(probs)
            else:
                best = torch.cat([likeliest(average(predictions, flipped, r)) for r in predictions[0].bands()])
            slots_HW = look_up((0, *predictions[0].slots), best)
        ids = self._to_ids(slots_HW)
        if not return_probs:
            return ids
        return ids, torch.ones(1, *slots_HW.shape, dtype=torch.float32, device=self._device) if probs is None else probs

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _views(self, frame: np.ndarray) -> list[Tensor]:
        """The network's inputs, [1, 3, h, w] for each augmentation."""
        views: list[Tensor] = []
        for i, view in enumerate(self.augmentations):
            if view.flip and i and self.augmentations[i - 1] == Augmentation(view.scale, False):
                views.append(views[-1].flip(3))  # of its unflipped twin
                continue
            size = input_size(*frame.shape[:2], scale=view.scale, **self.config.input_rule())
            image = prepare_image(frame, size, self.config.interpolation, self._device)[None]
            views.append(image.flip(3) if view.flip else image)
        return views

    def _precision(self) -> AbstractContextManager:
        return torch.autocast(self._device.type, AMP_TYPES[self.amp]) if self.amp else nullcontext()

    def _to_ids(self, slots_HW: Tensor) -> np.ndarray:
        """Slots -> the user's ids."""
        slots, ids = self._engines[0].slots, self.object_ids
        table = [0] * (max(slots, default=0) + 1)
        for slot, own in zip(slots, ids, strict=True):
            table[slot] = own
        ids_HW = look_up(tuple(table), slots_HW)
        if max(ids, default=0) < 256:
            return ids_HW.to(torch.uint8).cpu().numpy()
        return ids_HW.cpu().numpy().astype(np.uint16)

    def check(
        self, frame: np.ndarray, mask: np.ndarray | None = None, output_size: tuple[int, int] | None = None
    ) -> None:
        """Raise the ``ValueError`` that ``step`` would raise for a frame and a mask; nothing else happens."""
        self._check_frame(frame)
        if output_size is not None and not (
            isinstance(output_size, Sequence)
            and len(output_size) == 2
            and all(isinstance(edge, (int, np.integer)) and edge >= 1 for edge in output_size)
        ):
            raise ValueError(f"output_size is a height and a width in pixels, or None, got {output_size!r}")
        if mask is not None:
            self._check_mask(mask, frame)

    def _check_frame(self, frame: np.ndarray) -> None:
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            what = f"{frame.dtype} of shape {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise ValueError(f"a frame is an H x W x 3 uint8 RGB array, got {what}")
        if self._size is not None and frame.shape[:2] != self._size:
            raise ValueError(
                f"the frame has size {frame.shape[0]}x{frame.shape[1]}, the video began with "
                f"{self._size[0]}x{self._size[1]}; call reset() before another video"
            )
        if min(frame.shape[:2]) < 1:
            raise ValueError(f"the frame is empty: {frame.shape}")

    @staticmethod
    def _check_mask(mask: np.ndarray, frame: np.ndarray) -> None:
        mask = np.asarray(mask)
        if mask.ndim != 2:
            raise ValueError(
                f"a mask is an H x W array of object ids, got shape {mask.shape}; "
                "colours have to be made into ids first (palette PNGs keep them)"
            )
        if mask.shape != frame.shape[:2]:
            raise ValueError(
                f"the mask has size {mask.shape[0]}x{mask.shape[1]}, the frame {frame.shape[0]}x{frame.shape[1]}; "
                "they have to be equal"
            )
        if not (np.issubdtype(mask.dtype, np.integer) or mask.dtype == bool):
            raise ValueError(f"a mask holds integer object ids, got {mask.dtype}")
        low, high = int(mask.min()), int(mask.max())
        if low < 0 or high > MAX_ID:
            raise ValueError(f"object ids are 1 to {MAX_ID} (0 is the background), the mask holds {low} to {high}")


def _usable(result: Any) -> Any:
    """Ids, or ids and probabilities; these as a tensor that may be changed and have gradients like any other."""
    return (result[0], result[1].clone()) if isinstance(result, tuple) else result
