"""Flags that say which model runs how, and the segmenter that they describe."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from voskit.configs import get_model_config, models_with_depths
from voskit.evaluators import ReferringSegmenter, VideoSegmenter
from voskit.networks import build_model

logger = logging.getLogger(__name__)

BUNDLED_MODEL = "deaott"
BUNDLED_WEIGHTS = Path(__file__).resolve().parents[1] / "pretrain_models" / "deaott_open.safetensors"
_OF_PROPAGATION = (
    "depth",
    "target_fps",
    "flip",
    "ms",
    "long_term_mem_gap",
    "short_term_mem_skip",
    "max_memory_frames",
    "save_scores",
    "videos_at_once",
)


@dataclass(frozen=True, kw_only=True)
class ModelArgs:
    """A model, its checkpoint and its inference settings."""

    model: str = BUNDLED_MODEL
    """A model of the zoo."""
    ckpt_path: Path | None = None
    """Its checkpoint: the authors' or one of ours. Default: the bundled small model's."""
    device: str | None = None
    """cuda, cuda:1, mps, cpu, ...; default: the best there is."""
    depth: int | None = None
    """Run only so many layers, where the model lets one choose; fewer are faster. Default: all."""
    target_fps: float | None = None
    """Hold this many frames a second by choosing the depth while the video runs."""
    amp: bool = False
    """Run the network in half precision (fp16 on CUDA, bf16 elsewhere)."""
    compile: bool = False
    """Fuse the network's operations with torch.compile; the first frames of each size take minutes."""
    flip: bool = False
    """Average over horizontally flipped copies."""
    ms: tuple[float, ...] = (1.0,)
    """Test scales to average over."""
    max_resolution: float | None = None
    """The long edge is scaled down to 800/480 times this; 624 is 1.3 x 480p. Default: the model's."""
    short_edge: int | None = None
    """Frames are resized to this short edge; -1: as they are. Default: the model's."""
    long_term_mem_gap: int | None = None
    """Frames between two that enter the long-term memory. Default: the model's."""
    short_term_mem_skip: int | None = None
    """Which earlier frame is the short-term memory. Default: the model's, which is the previous one."""
    max_memory_frames: int | Literal["unbounded"] | None = None
    """Most frames in the long-term memory: the first and the latest are kept. Default: the model's."""
    propagate: str | None = None
    """For models that take sentences: a model that propagates the mask of each sentence's key frame, the one with the
    highest score, to the others."""
    propagate_ckpt: Path | None = None
    """Its checkpoint. Default: the bundled one, where there is one for it."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Fields of the model's config to change."""

    def checkpoint(self) -> Path:
        """The file that ``ckpt_path`` names, or the bundled one.

        Raises:
            ValueError: no file was named, and none is bundled for this model.
        """
        if self.ckpt_path is not None:
            return self.ckpt_path
        if self.model != BUNDLED_MODEL:
            raise ValueError(
                f"--ckpt_path is needed: weights are bundled for {BUNDLED_MODEL} only, not for {self.model} "
                "(MODEL_ZOO.md says where the authors' are)"
            )
        return BUNDLED_WEIGHTS

    @property
    def task(self) -> str:
        """What the model's objects are told by, see ``ModelConfig.task``."""
        return get_model_config(self.model).task

    def build_segmenter(
        self, device: str | None = None, dataset: str | None = None
    ) -> tuple[VideoSegmenter, torch.device]:
        """Build a model that propagates masks and its segmenter, on ``device`` or the one of the flags.

        What the model's authors chose for ``dataset`` holds where the flags say nothing else.

        Raises:
            ValueError: a flag that can't be met; the message names it.
        """
        if self.propagate is not None:
            raise ValueError(f"--propagate is for models that take sentences, and {self.model} takes masks")
        checkpoint = self.checkpoint()
        if self.ckpt_path is None:
            logger.info("%s: the bundled weights, trained on little data; the authors' do better", checkpoint)
        config = get_model_config(self.model)
        changes = config.changes_from_text(*self.set)
        if self.depth is not None:
            if not config.depths:
                raise ValueError(
                    f"--depth: {self.model} has one depth only; models whose depth can be chosen: "
                    f"{', '.join(models_with_depths())}"
                )
            changes["depth"] = self.depth
        if self.max_memory_frames is not None:
            changes["max_memory_frames"] = None if self.max_memory_frames == "unbounded" else self.max_memory_frames
        changes |= self._chosen_for(dataset, changes)
        model = build_model(self.model, checkpoint=checkpoint, device=device or self.device, **changes)
        place = next(model.parameters()).device
        segmenter = VideoSegmenter(
            model,
            scales=self.ms,
            flip=self.flip,
            target_fps=self.target_fps,
            **self._shared_options(place),
            long_term_gap=self.long_term_mem_gap,
            short_term_skip=self.short_term_mem_skip,
        )
        return segmenter, place

    def build_referring_segmenter(
        self, device: str | None = None, dataset: str | None = None
    ) -> tuple[ReferringSegmenter, torch.device]:
        """Build a model that takes sentences and its segmenter; see ``build_segmenter``."""
        checkpoint = self.checkpoint()
        for field in dataclasses.fields(self):
            if field.name in _OF_PROPAGATION and getattr(self, field.name) != field.default:
                raise ValueError(f"--{field.name} is for models that propagate masks, which {self.model} doesn't")
        changes = get_model_config(self.model).changes_from_text(*self.set)
        changes |= self._chosen_for(dataset, changes)
        model = build_model(self.model, checkpoint=checkpoint, device=device or self.device, **changes)
        place = next(model.parameters()).device
        return ReferringSegmenter(model, **self._shared_options(place)), place

    def build_propagator(self, device: str | None = None) -> VideoSegmenter | None:
        """The segmenter that ``propagate`` names; None: nothing is propagated."""
        if self.propagate is None:
            return None
        return self.propagator_args().build_segmenter(device or self.device)[0]

    def propagator_args(self) -> ModelArgs:
        """The model that ``propagate`` names."""
        assert self.propagate is not None
        return ModelArgs(model=self.propagate, ckpt_path=self.propagate_ckpt, device=self.device, amp=self.amp)

    def _chosen_for(self, dataset: str | None, changes: dict[str, Any]) -> dict[str, Any]:
        """What the model's authors chose for a dataset, as far as the flags don't say it."""
        known = get_model_config(self.model).dataset_settings.get(dataset or "", {})
        if chosen := {k: v for k, v in known.items() if k not in changes}:
            logger.info("%s: its authors' settings for %s: %s", self.model, dataset, chosen)
        return chosen

    def _shared_options(self, device: torch.device) -> dict[str, Any]:
        return {
            "amp": ("fp16" if device.type == "cuda" else "bf16") if self.amp else None,
            "compile": self.compile,
            "max_long_edge": None if self.max_resolution is None else round(self.max_resolution * 800 / 480),
            "short_edge": self.short_edge,
        }
