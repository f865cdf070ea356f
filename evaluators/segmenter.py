"""Frame-by-frame video object segmentation from RGB frames and object masks."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import logging
import math
import operator
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np
import torch
from torch import Tensor

from voskit.configs import INFERENCE_FIELDS, PropagationConfig, models_with_depths, suggest
from voskit.dataloaders.transforms import input_size, prepare_image
from voskit.evaluators.frame_checks import ImageLike, check_mask, check_output_size, frame_array
from voskit.evaluators.given_masks import ids_of_mask
from voskit.networks.engines import (
    DepthChoice,
    Engine,
    FrameProbabilities,
    Step,
    StepCalls,
    average,
    likeliest,
    look_up,
    run_calls,
    run_calls_batched,
)
from voskit.networks.families import can_be_static, new_engine
from voskit.networks.inference import AMP_TYPES, compile_calls, compile_network, folded
from voskit.networks.memory import MemoryPolicy, build_policy
from voskit.networks.models.base import Network

if TYPE_CHECKING:
    from voskit.evaluators.cuts import Shots
    from voskit.evaluators.frame_rate import FrameRateKeeper
    from voskit.networks.engines.quality import ObjectQuality
    from voskit.networks.engines.static.aot import StaticAOTEngine

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class View:
    """Scale and flip of one view in test-time augmentation."""

    scale: float
    flip: bool


@dataclasses.dataclass
class SegmentedFrame:
    """Results of one frame, kept to measure the quality of its objects."""

    slots_HW: Tensor
    slots: dict[int, int]
    """Slot of each object, by id."""
    predictions: Sequence[FrameProbabilities]
    """Probabilities of each view; empty once the next frame is segmented."""
    flipped: list[bool]
    """Whether each view is mirrored."""
    areas: dict[int, int] | None = None
    """Number of pixels of each object, by id; None until counted."""
    quality: dict[int, ObjectQuality] | None = None
    """Quality of each object, by id; None until measured."""


class VideoSegmenter:
    """Frame-by-frame segmentation of a video, given masks of its objects.

    ::

        segmenter = VideoSegmenter(build_model("r50_deaotl", checkpoint="R50_DeAOTL_PRE_YTB_DAV.pth"))
        ids = segmenter.step(first_frame, mask=first_mask)
        for frame in frames:
            ids = segmenter.step(frame)

    Args:
        model: a mask-propagation network from ``voskit.build_model``, run in evaluation mode whatever its own mode.
            Some of its weights are copied, others shared: after changing weights, build a new segmenter.
        scales: test scales, over which probabilities are averaged.
        flip: also average over horizontally flipped copies.
        amp: ``"fp16"`` or ``"bf16"`` runs the network under autocast; None: no autocast.
        compile: fuse the network's operations with ``torch.compile``; the first frames of each size take minutes.
        static_memory: keep the memory in preallocated tensors of a fixed size, with unused entries masked out, so that
            network calls have the same shapes on all frames; see ``networks.engines.static``. None: with ``compile``,
            if the model and the other options allow it.
        target_fps: adapt the depth of the network so that ``step`` reaches this many frames per second; see
            :class:`~voskit.evaluators.frame_rate.FrameRateKeeper`. Results then depend on the machine's speed.
            None: the depth is fixed.
        policy: rule that selects the frames of the long-term memory; None: the family's default. With a policy, the
            gap and bound of the config have no effect. A string is parsed as on the command line: ``"gated:gap=5"``.
        cuts: scene cuts, at which the short-term memory is dropped: ``"auto"`` detects them
            (:class:`~voskit.evaluators.cuts.CutDetector`), a collection lists the 0-based indices of the frames that
            start a shot. None: no cuts. :attr:`cuts_found` lists those of the current video.
        **options: fields of ``PropagationConfig`` (``max_short_edge``, ``max_long_edge``, ``short_edge``,
            ``min_short_edge``, ``long_term_gap``, ``short_term_skip``, ``max_memory_frames``, ...); None or absent: the
            model's value. ``max_memory_frames="unbounded"`` removes the bound of the config.

    Raises:
        TypeError: ``model`` is not a network.
        ValueError: an unknown option (similar names are suggested), or a value out of range.
    """

    def __init__(
        self,
        model: Network,
        *,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        amp: Literal["fp16", "bf16"] | None = None,
        compile: bool = False,
        static_memory: bool | None = None,
        target_fps: float | None = None,
        policy: MemoryPolicy | str | None = None,
        cuts: Literal["auto"] | Collection[int] | None = None,
        **options: object,
    ) -> None:
        if not isinstance(model, Network):
            raise TypeError(f"the model must be a network of voskit.build_model, got {model!r}")
        if not isinstance(model.config, PropagationConfig):
            name = type(model.config).__name__
            raise ValueError(f"{name} takes text prompts, not masks: use ReferringSegmenter")
        if (dtype := next(model.parameters()).dtype) != torch.float32:
            raise ValueError(f"the network's weights are {dtype}: keep them float32, and use amp for half precision")
        for name in options:
            if name not in INFERENCE_FIELDS:
                own = ("scales", "flip", "amp", "compile", "static_memory", "target_fps", "policy", "cuts")
                known = [*INFERENCE_FIELDS, *own]
                raise ValueError(f"VideoSegmenter has no option {name!r}: {suggest(name, known)}")
        if amp is not None and amp not in AMP_TYPES:
            raise ValueError(f"amp must be 'fp16', 'bf16' or None, got {amp!r}")
        scales = checked_scales(scales)
        fields = {k: v for k, v in options.items() if v is not None}
        if fields.get("max_memory_frames") == "unbounded":
            fields["max_memory_frames"] = None
        config = model.config.override(**fields)
        if len(scales) > 1 and config.max_short_edge is None:
            config = config.override(max_short_edge=config.max_short_edge_multi_scale)
        self.model = model
        self.config = config
        self.amp = amp
        self.policy = policy = build_policy(policy) if isinstance(policy, str) else policy
        self.cuts: Literal["auto"] | frozenset[int] | None = None
        if cuts is not None:
            from voskit.evaluators.cuts import checked_cuts

            self.cuts = checked_cuts(cuts)
        flips = {"both": (False, True), "mirrored": (True,)}[config.flip_views] if flip else (False,)
        self.views = [View(s, f) for s in scales for f in flips]
        self._network: Any = folded(model, AMP_TYPES[amp] if amp else None).eval()
        self._compiled = compile
        if static_memory is None:
            static_memory = compile and target_fps is None and cuts is None and can_be_static(config, policy)
        if static_memory and cuts is not None:
            raise ValueError("static_memory has no short-term memory to drop at cuts: leave out one of the two")
        self._static = static_memory
        self._engines = self._new_engines()
        if compile and static_memory:
            compile_calls(self._network, cast("StaticAOTEngine", self._engines[0]).network_calls)
        elif compile:
            compile_network(self._network)
        self._size: tuple[int, int] | None = None
        self._enlarged: set[tuple[int, int]] = set()  # frame sizes already logged as enlarged
        self._white = False  # a mask of 0 and 255 was read as object 1
        self._last: SegmentedFrame | None = None
        self._before: SegmentedFrame | None = None
        self._shots = self._new_shots()
        self._rate: FrameRateKeeper | None = None
        if target_fps is not None:
            self._check_has_depths("target_fps")
            if self._static:
                raise ValueError("target_fps changes the depth of the network, which static_memory can't")
            from voskit.evaluators.frame_rate import FrameRateKeeper

            self._rate = FrameRateKeeper(target_fps, self.config.depths)

    @property
    def target_fps(self) -> float | None:
        """Target frame rate, reached by adapting the depth; None: the depth is fixed."""
        return self._rate.target_fps if self._rate else None

    @property
    def depth(self) -> int | None:
        """Number of layers run; None for models with one depth."""
        if not self.config.depths:
            return None
        return self.config.depths[-1] if self._static else self._depth_choices[0].depth

    @property
    def settings(self) -> dict[str, Any]:
        """Everything besides config and weights that affects the results, as JSON types."""
        return {
            "scales": sorted({a.scale for a in self.views}),
            "flip": any(a.flip for a in self.views),
            "amp": self.amp,
            "target_fps": self.target_fps,
            **({} if self.policy is None else {"policy": repr(self.policy)}),
            **({} if self.cuts is None else {"cuts": "auto" if self.cuts == "auto" else sorted(self.cuts)}),
        }

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments that build an equivalent segmenter, given the same config."""
        return {
            "scales": tuple(dict.fromkeys(view.scale for view in self.views)),
            "flip": any(view.flip for view in self.views),
            "amp": self.amp,
            "compile": self._compiled,
            "static_memory": self._static,
            "target_fps": self.target_fps,
            "policy": self.policy,
            "cuts": self.cuts,
        }

    def set_depth(self, depth: int) -> None:
        """Run this many layers of the network from the next frame on; ``reset`` keeps the depth.

        Fewer layers are faster. The state of deeper layers is kept, so the depth can be raised again during a video.

        Raises:
            ValueError: the model has only one depth, or ``depth`` is not in ``config.depths``; nothing changes then.
        """
        self._check_has_depths("set_depth")
        if self._static:
            raise ValueError("static_memory runs a network at one depth: build the model with depth=N instead")
        for engine in self._depth_choices:
            engine.set_depth(depth)

    @property
    def _depth_choices(self) -> list[DepthChoice]:
        return cast("list[DepthChoice]", self._engines)

    def _check_has_depths(self, what: str) -> None:
        if not self.config.depths:
            raise ValueError(
                f"{what}: {type(self.config).__name__} has one depth only; models with a choice of depths: "
                f"{', '.join(models_with_depths())}"
            )

    @property
    def object_ids(self) -> list[int]:
        """Object ids in the order of addition; ids added by one mask are in ascending order, or sorted by group."""
        return self._engines[0].object_ids

    @property
    def quality(self) -> dict[int, ObjectQuality]:
        """Quality of each object in the last frame, by id, computed from the predicted probabilities.

        Computed on first access, from the first view if there are several. Objects of a given mask have confidence 1.
        Empty before the first mask.
        See :class:`~voskit.networks.engines.quality.ObjectQuality`.
        """
        if self._last is None:
            return {}
        from voskit.evaluators.quality import frame_quality

        return frame_quality(self._last, self._before)

    @property
    def cuts_found(self) -> list[int]:
        """0-based indices of the frames of this video that started a shot; empty unless ``cuts`` is set."""
        return [] if self._shots is None else list(self._shots.cuts)

    @property
    def memory_frames(self) -> int:
        """Number of frames in the long-term memory."""
        return self._engines[0].memory_frames

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated for the long-term memories of all views."""
        return sum(engine.memory_bytes for engine in self._engines)

    def reset(self) -> None:
        """Forget the current video; the next frame starts a new one."""
        for engine in self._engines:
            engine.reset()
        self._size = None
        self._white = False
        self._last = self._before = None
        self._shots = self._new_shots()
        if self._rate is not None:
            self._rate.reset()

    @torch.inference_mode()
    def delete_objects(self, ids: int | Iterable[int]) -> None:
        """Forget objects; from the next frame on, their pixels go to other objects or to the background.

        Args:
            ids: one id, or several in a list, set, array, tensor or other iterable.

        Raises:
            ValueError: an id that is unknown or not an integer; no object is forgotten then.
        """
        gone = _integers(ids)
        for engine in self._engines:
            engine.delete_objects(gone)

    @overload
    def step(
        self,
        frame: ImageLike,
        mask: ImageLike | None = None,
        *,
        complete: bool = False,
        return_probs: Literal[False] = False,
        output_size: tuple[int, int] | None = None,
    ) -> np.ndarray: ...
    @overload
    def step(
        self,
        frame: ImageLike,
        mask: ImageLike | None = None,
        *,
        complete: bool = False,
        return_probs: Literal[True],
        output_size: tuple[int, int] | None = None,
    ) -> tuple[np.ndarray, Tensor]: ...

    def step(
        self,
        frame: ImageLike,
        mask: ImageLike | None = None,
        *,
        complete: bool = False,
        return_probs: bool = False,
        output_size: tuple[int, int] | None = None,
    ) -> np.ndarray | tuple[np.ndarray, Tensor]:
        """Segment the next frame.

        Args:
            frame: H x W x 3 uint8 RGB, of the same size throughout a video. Also accepted: PIL images (as stored,
                ignoring EXIF orientation); tensors; C x H x W; gray H x W; floats in [0, 1]; an opaque alpha channel.
                See :func:`voskit.evaluators.frame_checks.frame_array`.
            mask: H x W object ids from 1 to 65535, 0 elsewhere, as an array, tensor or PIL image. Non-zero pixels
                override the prediction; new ids add objects from this frame on. A mask of only 0 and 255 is read as
                one object with id 1, as on the command line, unless an object already has id 255; in uint16, 255 is
                an id. (XMem and JointFormer resize masks to their input size, as published, so that tiny objects may
                lose pixels.)
            complete: the mask is complete: 0 means background, not "keep the prediction". Use it for corrections that
                remove pixels. The mask may be all zeros. No effect without a mask.
            return_probs: also return probabilities.
            output_size: (height, width) of the results; None: that of the frame.

        Returns:
            Ids, H x W uint8, or uint16 if an id is above 255; 0 is the background. With ``return_probs``, also
            probabilities, (objects + 1) x H x W float32: channel 0 is the background, followed by ``object_ids`` in
            order. Pixels of the mask have probability 0 or 1 (or nearly so, in families that aggregate given masks
            with predictions).

        Raises:
            ValueError: a frame or mask of the wrong shape, type or size, a mask with anti-aliased edges, or ids out of
                range; the state is unchanged then.
        """
        start = time.perf_counter() if self._rate is not None else 0.0
        result = self._step(frame_array(frame), mask, complete, return_probs, output_size)
        if self._rate is not None and mask is None and self.object_ids:
            assert self.depth is not None
            self.set_depth(self._rate.next_depth(self.depth, time.perf_counter() - start))
        return _without_inference_mode(result)

    def another(self) -> VideoSegmenter:
        """Return a segmenter for another video that has the same settings and shares the network.

        Raises:
            ValueError: this segmenter has a ``target_fps``, which is incompatible with a shared network.
        """
        if self._rate is not None:
            raise ValueError("target_fps is for one video at a time: this segmenter can't share its network")
        other = copy.copy(self)
        other._engines = self._new_engines()
        other._size = None
        other._white = False
        other._last = other._before = None
        other._shots = self._new_shots()
        if self.depth is not None and not self._static:
            other.set_depth(self.depth)
        return other

    @staticmethod
    def step_together(
        segmenters: Sequence[VideoSegmenter],
        frames: Sequence[ImageLike],
        masks: Sequence[ImageLike | None] | None = None,
        *,
        return_probs: bool = False,
        output_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[Any]:
        """Segment one frame from each of several videos; results match ``step`` up to rounding.

        Frames of equal size go through the network as a batch: through all of it in the AOT families (with up to
        ``max_objects`` objects), through the image encoder in XMem. This pays on a GPU that one video doesn't fill.

        Args:
            segmenters: one per video, all created by ``another`` of one of them.
            frames: one frame per video, as for ``step``.
            masks: a mask as for ``step``, or None, for each video; None: no masks.
            return_probs: also return probabilities.
            output_sizes: (height, width) of the results, or None, for each video; None: those of the frames.

        Returns:
            the result of ``step`` for each video.

        Raises:
            ValueError: see ``step``; or segmenters that don't share a network. All states are unchanged then.
        """
        count = len(segmenters)
        masks = [None] * count if masks is None else masks
        sizes = [None] * count if output_sizes is None else output_sizes
        if not count == len(frames) == len(masks) == len(sizes):
            raise ValueError(
                f"{count} segmenters, {len(frames)} frames, {len(masks)} masks, {len(sizes)} output sizes: give "
                "one of each for each video"
            )
        if len({id(s) for s in segmenters}) < count or len({id(s._network) for s in segmenters}) > 1:
            raise ValueError("each video needs its own segmenter, all from another() of one of them")
        items = list(zip(segmenters, map(frame_array, frames), masks, sizes, strict=True))
        for segmenter, frame, mask, size in items:
            segmenter.check(frame, mask, size)
        with torch.inference_mode():
            works = [segmenter._step_calls(frame, mask, size) for segmenter, frame, mask, size in items]
            with segmenters[0]._precision() if segmenters else nullcontext():
                steps = iter(run_calls_batched([work for own in works for work in own]))
            results = [
                segmenter._ids_and_probs(list(itertools.islice(steps, len(own))), return_probs)
                for segmenter, own in zip(segmenters, works, strict=True)
            ]
        return [_without_inference_mode(result) for result in results]

    def _new_engines(self) -> list[Engine]:
        return [new_engine(self._network, self.config, self.policy, self._static) for _ in self.views]

    def _new_shots(self) -> Shots | None:
        """Return the shot tracker of a new video; None unless ``cuts`` is set."""
        if self.cuts is None:
            return None
        from voskit.evaluators.cuts import Shots

        return Shots(self.cuts)

    @torch.inference_mode()
    def _step(
        self,
        frame: np.ndarray,
        mask: ImageLike | None,
        complete: bool,
        return_probs: bool,
        output_size: tuple[int, int] | None,
    ) -> np.ndarray | tuple[np.ndarray, Tensor]:
        """Segment the next frame at the current depth."""
        self.check(frame, mask, output_size)
        works = self._step_calls(frame, mask, output_size, complete)
        with self._precision():
            steps = [run_calls(work) for work in works]
        return self._ids_and_probs(steps, return_probs)

    def _step_calls(
        self,
        frame: np.ndarray,
        mask: ImageLike | None,
        output_size: tuple[int, int] | None,
        complete: bool = False,
    ) -> list[StepCalls[Step]]:
        """Return the engine's step for each view, as a generator of network calls."""
        if self._size is None:
            self._log_enlarged(frame.shape[0], frame.shape[1])
        self._size = (frame.shape[0], frame.shape[1])
        if self._shots is not None and self._shots.starts_shot(frame):
            for engine in self._engines:
                engine.cut()
        given = None
        if mask is not None:
            ids, white = ids_of_mask(mask, self.object_ids, self._white)
            self._white |= white
            given = torch.from_numpy(ids.astype(np.int32)).to(self.device)
        works = []
        for engine, view, image in zip(self._engines, self.views, self._views(frame), strict=True):
            own = given.flip(1) if given is not None and view.flip else given
            works.append(engine.step(image, output_size or self._size, own, complete))
        return works

    def _ids_and_probs(self, steps: Sequence[Step], return_probs: bool) -> np.ndarray | tuple[np.ndarray, Tensor]:
        """Average the engines' predictions and return the results of ``step``."""
        predictions = [s.prediction for s in steps if s.prediction is not None]
        flipped = [view.flip for view in self.views]
        probs = average(predictions, flipped) if predictions and return_probs else None
        slots_HW = steps[0].slots_HW
        if predictions and (len(predictions) > 1 or flipped[0]):
            if probs is not None:
                best = likeliest(probs)
            else:
                best = torch.cat([likeliest(average(predictions, flipped, r)) for r in predictions[0].bands()])
            slots_HW = look_up((0, *predictions[0].slots), best)
        ids = self._to_ids(slots_HW)
        self._before, self._last = self._last, None
        if self._before is not None:
            self._before.predictions = ()
        if predictions:
            slots = dict(zip(self.object_ids, self._engines[0].slots, strict=True))
            self._last = SegmentedFrame(slots_HW, slots, predictions, flipped)
        if not return_probs:
            return ids
        return ids, torch.ones(1, *slots_HW.shape, dtype=torch.float32, device=self.device) if probs is None else probs

    @property
    def device(self) -> torch.device:
        """Device of the model's weights."""
        return next(self.model.parameters()).device

    def _views(self, frame: np.ndarray) -> list[Tensor]:
        """Return the network's input, [1, 3, h, w], for each view."""
        views: list[Tensor] = []
        for i, view in enumerate(self.views):
            if view.flip and i and self.views[i - 1] == View(view.scale, False):
                views.append(views[-1].flip(3))  # the unflipped view of the same scale precedes it
                continue
            size = input_size(*frame.shape[:2], scale=view.scale, **self.config.input_rule())
            image = prepare_image(frame, size, self.config.interpolation, self.device)[None]
            views.append(image.flip(3) if view.flip else image)
        return views

    def _log_enlarged(self, height: int, width: int) -> None:
        """Log once per size that ``min_short_edge`` enlarges frames of this size."""
        rule = self.config.input_rule()
        native, enlarged = (input_size(height, width, **r) for r in ({**rule, "min_short_edge": None}, rule))
        if (height, width) in self._enlarged or native == enlarged:
            return
        self._enlarged.add((height, width))
        logger.info(
            "frames of %dx%d pixels are enlarged to %dx%d for the network (min_short_edge=%d; not with short_edge=-1)",
            *(width, height, *enlarged[::-1], self.config.min_short_edge),
        )

    def _precision(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, AMP_TYPES[self.amp]) if self.amp else nullcontext()

    def _to_ids(self, slots_HW: Tensor) -> np.ndarray:
        """Map slots to the user's ids."""
        slots, ids = self._engines[0].slots, self.object_ids
        table = [0] * (max(slots, default=0) + 1)
        for slot, own in zip(slots, ids, strict=True):
            table[slot] = own
        ids_HW = look_up(tuple(table), slots_HW)
        if max(ids, default=0) < 256:
            return ids_HW.to(torch.uint8).cpu().numpy()
        return ids_HW.cpu().numpy().astype(np.uint16)

    def check(
        self, frame: ImageLike, mask: ImageLike | None = None, output_size: tuple[int, int] | None = None
    ) -> None:
        """Validate the arguments of ``step`` without segmenting; raise the same ``ValueError``."""
        frame = frame_array(frame)
        if self._size is not None and frame.shape[:2] != self._size:
            raise ValueError(
                f"the frame has size {frame.shape[0]}x{frame.shape[1]}, earlier frames of the video "
                f"{self._size[0]}x{self._size[1]}: call reset() before another video"
            )
        check_output_size(output_size)
        if mask is not None:
            check_mask(ids_of_mask(mask, self.object_ids, self._white)[0], frame)


def checked_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """Return test scales as a tuple. Raises ValueError unless they are one or more positive numbers."""
    try:
        checked = tuple(float(scale) for scale in scales)
    except (TypeError, ValueError):
        checked = ()
    if not checked or any(not 0 < scale < math.inf for scale in checked):
        raise ValueError(f"scales must be one or more positive numbers, such as (1.0, 1.3), got {scales!r}")
    return checked


def _integers(ids: int | Iterable[int]) -> list[int]:
    """Return one or more object ids as a list."""
    try:
        return [operator.index(ids)]  # type: ignore[arg-type]
    except TypeError:
        try:
            return [operator.index(i) for i in ids]  # type: ignore[union-attr]
        except TypeError as error:
            raise ValueError(f"object ids must be integers, got {ids!r}") from error


def _without_inference_mode(result: Any) -> Any:
    """Copy the probabilities of a result, if any, so that they can be changed and take part in gradients."""
    return (result[0], result[1].clone()) if isinstance(result, tuple) else result
