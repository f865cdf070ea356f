"""Flags of a model and its inference settings, and the segmenters that they describe."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from voskit.configs import PropagationConfig, get_model_config, models_with_depths
from voskit.tools.threads import set_threads

if TYPE_CHECKING:
    import torch

    from voskit.evaluators import ReferringSegmenter, VideoSegmenter
    from voskit.networks import Network

logger = logging.getLogger(__name__)

BUNDLED_MODEL = "deaott"
BUNDLED_WEIGHTS = Path(__file__).resolve().parents[2] / "pretrain_models" / "deaott_open.safetensors"
MEMORY_FRAMES = 10
"""Default bound of the long-term memory for users' videos, which may have any length."""
BUNDLED_MEMORY_FRAMES = 16
"""Default bound with the bundled weights, which store frames more often."""
_PROPAGATION_FLAGS = (
    "depth",
    "target_fps",
    "flip",
    "ms",
    "long_term_mem_gap",
    "short_term_mem_skip",
    "max_memory_frames",
    "policy",
    "cuts",
    "save_scores",
    "videos_at_once",
)


@dataclass(frozen=True, kw_only=True)
class ModelArgs:
    """A model, its checkpoint and its inference settings."""

    model: str = BUNDLED_MODEL
    """A model of the zoo."""
    ckpt_path: Path | None = None
    """Checkpoint of the model: the authors', or a file of voskit train or voskit export. Default: the published
    weights, downloaded once (see voskit weights), or for deaott the bundled ones."""
    device: str | None = None
    """cuda, cuda:1, mps, cpu, ... Default: the best one."""
    threads: int | None = None
    """Threads on the CPU. Default: OMP_NUM_THREADS, or the number of free cores."""
    depth: int | None = None
    """Number of layers to run, for models with a choice of depths; fewer are faster. Default: all."""
    target_fps: float | None = None
    """Keep up with this many frames per second by changing the depth during the video."""
    amp: bool = False
    """Run the network in half precision (fp16 on CUDA, bf16 elsewhere)."""
    compile: bool = False
    """Fuse the network's operations with torch.compile; the first frames of each size take minutes."""
    flip: bool = False
    """Average over the frame and its mirror image; XMem and JointFormer use the mirror image alone."""
    ms: tuple[float, ...] = (1.0,)
    """Test scales to average over."""
    max_resolution: float | None = None
    """Limit the long edge to 800/480 times this; 624 is 1.3 x 480p. Default: the model's limit."""
    short_edge: int | None = None
    """Resize frames to this short edge; -1: the frames' own size. Default: the model's."""
    long_term_mem_gap: int | None = None
    """Store every N-th frame in the long-term memory. Default: the model's."""
    short_term_mem_skip: int | None = None
    """Use the frame N frames back as short-term memory. Default: the model's, which is 1, the previous frame."""
    max_memory_frames: Annotated[int | Literal["unbounded"] | None, tyro.conf.arg(metavar="INT|unbounded")] = None
    """Maximum number of frames in the long-term memory. Default: the model's bound. For models without one, demo, batch
    and annotate keep 10 frames, or 16 with the bundled weights."""
    policy: str | None = None
    """Memory policy and its fields, such as every_nth_frame:gap=5,max_frames=8, instead of --long_term_mem_gap and
    --max_memory_frames. Default: the model's. See docs/memory.md."""
    cuts: str = "off"
    """Scene cuts, at which the short-term memory is dropped: auto (detect them), off, or a file with the numbers of the
    frames that begin a shot, one per line; 0 is the first segmented frame."""
    propagate: str | None = None
    """For text prompts: a model that propagates each object from the frame in which its prompt scores highest."""
    propagate_ckpt: Path | None = None
    """Checkpoint of that model. Default: as for --ckpt_path."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the model's config to change."""

    def checkpoint(self) -> Path:
        """Return the file of ``ckpt_path``, or of the model's published weights, downloading them if needed.

        Raises:
            ValueError, OSError: see ``voskit.networks.weights.find_weights``.
        """
        if self.ckpt_path is not None:
            return self.ckpt_path
        from voskit.networks.weights import find_weights

        return find_weights(self.model)

    @property
    def task(self) -> str:
        """The kind of the model's prompts, see ``ModelConfig.task``."""
        return get_model_config(self.model).task

    def memory_bound(self, config: PropagationConfig) -> int | None:
        """Return the bound of the memory for users' videos; None: a flag or ``config``, the built model's, has one."""
        flags = self.max_memory_frames is not None or self.policy is not None
        if flags or "max_memory_frames" in config.changes_from_text(*self.set) or config.max_memory_frames is not None:
            return None
        file = BUNDLED_WEIGHTS if self.ckpt_path is None else self.ckpt_path.resolve()
        bundled = self.model == BUNDLED_MODEL and file == BUNDLED_WEIGHTS
        return BUNDLED_MEMORY_FRAMES if bundled else MEMORY_FRAMES

    def check_values(self) -> None:
        """Raise the ValueError that building the model would raise, before weights are downloaded or loaded."""
        from voskit.evaluators.frame_rate import FrameRateKeeper
        from voskit.evaluators.segmenter import checked_scales
        from voskit.networks.build import usable_device
        from voskit.networks.memory.policies import build_policy

        config = get_model_config(self.model)
        flags = {
            "depth": self.depth,
            "max_memory_frames": None if self.max_memory_frames == "unbounded" else self.max_memory_frames,
            "long_term_gap": self.long_term_mem_gap,
            "short_term_skip": self.short_term_mem_skip,
            "max_long_edge": self._max_long_edge,
            "short_edge": self.short_edge,
        }
        self._check_depth()
        config.override_from_text(*self.set).override(**{k: v for k, v in flags.items() if v is not None})
        checked_scales(self.ms)
        if self.target_fps is not None:
            FrameRateKeeper(self.target_fps, config.depths)
        if self.policy is not None:
            build_policy(self.policy)
            for flag in ("long_term_mem_gap", "max_memory_frames"):
                if getattr(self, flag) is not None:
                    raise ValueError(f"--{flag} has no effect with --policy: set the fields of {self.policy}")
        self.known_cuts()
        self._check_propagator()
        usable_device(self.device)

    def _check_propagator(self) -> None:
        if self.propagate is None:
            if self.propagate_ckpt is not None:
                raise ValueError("--propagate_ckpt is the checkpoint of the model that --propagate names: give both")
            return
        if get_model_config(self.propagate).task == "referring":
            raise ValueError(f"--propagate {self.propagate}: the model takes text prompts: give one that takes masks")
        if self.propagate_ckpt is not None and not self.propagate_ckpt.is_file():
            raise ValueError(f"--propagate_ckpt {self.propagate_ckpt}: no such file")

    def _check_depth(self) -> None:
        flag = "depth" if self.depth is not None else "target_fps"
        if getattr(self, flag) is not None and not get_model_config(self.model).depths:
            raise ValueError(
                f"--{flag}: {self.model} has one depth only; models with a choice of depths: "
                f"{', '.join(models_with_depths())}"
            )

    @property
    def _max_long_edge(self) -> int | None:
        return None if self.max_resolution is None else round(self.max_resolution * 800 / 480)

    def check_mask_flags(self) -> None:
        """Raise ValueError if a flag is given that models with masks don't have."""
        for flag in ("propagate", "propagate_ckpt"):
            if getattr(self, flag) is not None:
                raise ValueError(f"--{flag} is for models with text prompts, but {self.model} takes masks")

    def check_cuts(self, *, backwards: bool, fuse: bool) -> None:
        """Raise ValueError if cuts are listed, which count frames forwards, and clips are also read backwards."""
        if self.cuts not in ("auto", "off") and (backwards or fuse):
            flag = "--backwards" if backwards else "--fuse"
            raise ValueError(f"--cuts {self.cuts}: {flag} also reads the clip backwards, so give --cuts auto")

    def build_segmenter(
        self, device: str | None = None, dataset: str | None = None, *, bounded: bool = False
    ) -> VideoSegmenter:
        """Build a model that propagates masks and its segmenter.

        Args:
            device: the model's device; None: that of the flags.
            dataset: a dataset for which the model's authors may have chosen settings; flags override them.
            bounded: bound the long-term memory, unless a flag or the model's config does.

        Raises:
            ValueError: a flag that doesn't fit the model; the message names it.
        """
        from voskit.evaluators import VideoSegmenter
        from voskit.networks.memory.policies import build_policy

        self.check_mask_flags()
        self.check_values()
        cuts = self.known_cuts()
        if self.ckpt_path is None and self.model == BUNDLED_MODEL:
            logger.info("%s with the bundled weights; more accurate ones: voskit weights", self.model)
        changes: dict[str, Any] = {}
        if self.depth is not None:
            changes["depth"] = self.depth
        if self.max_memory_frames is not None:
            changes["max_memory_frames"] = None if self.max_memory_frames == "unbounded" else self.max_memory_frames
        model = self._build_model(device, dataset, changes)
        bound = self.memory_bound(model.config) if bounded and isinstance(model.config, PropagationConfig) else None
        return VideoSegmenter(
            model,
            max_memory_frames=bound,
            scales=self.ms,
            flip=self.flip,
            target_fps=self.target_fps,
            long_term_gap=self.long_term_mem_gap,
            short_term_skip=self.short_term_mem_skip,
            policy=None if self.policy is None else build_policy(self.policy),
            cuts=cuts,
            **self._shared_options(model),
        )

    def known_cuts(self) -> Literal["auto"] | frozenset[int] | None:
        """Return the cuts of the flag, reading its file.

        Raises:
            ValueError: the file is missing or isn't a list of numbers.
        """
        if self.cuts in ("auto", "off"):
            return "auto" if self.cuts == "auto" else None
        from voskit.evaluators.cuts import read_cuts

        try:
            return read_cuts(Path(self.cuts))
        except OSError as error:
            raise ValueError(f"--cuts: give auto, off or a file of frame numbers ({error})") from None

    def build_referring_segmenter(self, device: str | None = None, dataset: str | None = None) -> ReferringSegmenter:
        """Build a model with text prompts and its segmenter; see ``build_segmenter``."""
        from voskit.evaluators import ReferringSegmenter

        for field in dataclasses.fields(self):
            if field.name in _PROPAGATION_FLAGS and getattr(self, field.name) != field.default:
                raise ValueError(f"--{field.name} is for models with masks, but {self.model} takes text prompts")
        self.check_values()
        model = self._build_model(device, dataset, {})
        return ReferringSegmenter(model, **self._shared_options(model))

    def propagator_args(self) -> ModelArgs:
        """Return the flags of the model that ``propagate`` names."""
        assert self.propagate is not None
        return ModelArgs(
            model=self.propagate,
            ckpt_path=self.propagate_ckpt,
            device=self.device,
            threads=self.threads,
            amp=self.amp,
        )

    def build_propagator(self, device: str | None = None, *, bounded: bool = False) -> VideoSegmenter | None:
        """Build the segmenter of the model that ``propagate`` names, see ``build_segmenter``; None: none is named."""
        return None if self.propagate is None else self.propagator_args().build_segmenter(device, bounded=bounded)

    def _build_model(self, device: str | None, dataset: str | None, changes: dict[str, Any]) -> Network:
        """Build the model with the fields of ``--set``, further changes, and the authors' settings for a dataset."""
        from voskit.networks import build_model

        set_threads(self.threads)
        config, checkpoint = get_model_config(self.model), self.checkpoint()
        changes = {**config.changes_from_text(*self.set), **changes}
        authors = config.dataset_settings.get(dataset or "", {})
        if chosen := {name: value for name, value in authors.items() if name not in changes}:
            logger.info("%s: the authors' settings for %s: %s", self.model, dataset, chosen)
        return build_model(self.model, checkpoint=checkpoint, device=device or self.device, **changes, **chosen)

    def _shared_options(self, model: Network) -> dict[str, Any]:
        """Return the options of both kinds of segmenters."""
        device: torch.device = next(model.parameters()).device
        return {
            "amp": ("fp16" if device.type == "cuda" else "bf16") if self.amp else None,
            "compile": self.compile,
            "max_long_edge": self._max_long_edge,
            "short_edge": self.short_edge,
        }
