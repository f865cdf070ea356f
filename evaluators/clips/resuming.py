"""Checkpoints for resuming an interrupted segmentation of a clip, and their verification."""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from voskit.dataloaders.files import atomic_write
from voskit.dataloaders.video.source import Frame
from voskit.evaluators.clips.report import CHECKPOINT, ResumeError
from voskit.evaluators.segmenter_state import restore_state, segmenter_state

if TYPE_CHECKING:
    from voskit.evaluators.segmenter import VideoSegmenter

logger = logging.getLogger(__name__)

_FORMAT = "1"
"""Changed when engines of a new version can't continue the state of an older one."""
_SETTINGS = {
    "version": "version of voskit",
    "model": "model or config (--model, --short-edge, --set, ...)",
    "later_masks": "masks (--mask, --max_frames)",
}
"""Names of settings in messages."""
_SECONDS = 5.0  # minimum seconds between two checkpoints
_SHARE = 0.02  # maximum fraction of the time spent on checkpoints


def clip_settings(segmenter: VideoSegmenter, **options: object) -> dict[str, str]:
    """Return everything that masks depend on, except frames and masks: model, weights, settings, version."""
    crc = 0
    for tensor in segmenter.model.state_dict().values():
        crc = zlib.crc32(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy(), crc)
    return {
        "version": _FORMAT,
        "model": repr(segmenter.config),
        "weights": f"{crc:08x}",
        "settings": json.dumps({**segmenter.settings, **options}, sort_keys=True),
    }


class ClipCheckpoints:
    """Checkpoints of one clip in the folder of its results, so that a run resumes after a crash with equal masks.

    A checkpoint is the memory of the network after a frame, when all masks so far are on the disk. It is written every
    few seconds, more rarely if that takes long, and removed when the clip is complete.

    Args:
        folder: folder of the results.
        segmenter: the segmenter of the clip.
        settings: see :func:`clip_settings`.
    """

    def __init__(self, folder: Path, segmenter: VideoSegmenter, settings: Mapping[str, str]) -> None:
        self._path = folder / CHECKPOINT
        self._segmenter = segmenter
        self._settings = dict(settings)
        self._frames = 0
        self._inputs = 0
        self._resumed: dict[str, Any] | None = None
        self._due = time.monotonic() + _SECONDS
        # with a target_fps, results depend on the machine's speed and can't be reproduced
        self._enabled = segmenter.target_fps is None

    def load(self) -> dict[str, Any] | None:
        """Return the report of the last checkpoint; None: there is no checkpoint.

        Raises:
            ResumeError: the checkpoint is damaged or has other settings.
        """
        if not self._path.exists():
            return None
        try:
            self._resumed = torch.load(self._path, map_location=self._segmenter.device, weights_only=True)
            assert self._resumed is not None
            check_settings(self._resumed["settings"], self._settings, self._path.parent)
            return dict(self._resumed["report"])
        except (OSError, RuntimeError, KeyError, EOFError, TypeError) as error:
            raise ResumeError(f"{self._path}: the checkpoint is damaged ({error})", "run without --resume") from None

    def count(self, frame: Frame, mask_HW: np.ndarray | None) -> None:
        """Count a frame and its mask. The last frame of the checkpoint restores the memory of the segmenter.

        Raises:
            ResumeError: frames or masks so far aren't those of the checkpoint.
        """
        self._inputs = zlib.crc32(np.ascontiguousarray(frame.image).data, self._inputs)
        if mask_HW is not None:
            self._inputs = zlib.crc32(np.ascontiguousarray(mask_HW, np.int32).data, self._inputs)
        self._frames += 1
        if self._resumed is None or self._frames < self._resumed["frames"]:
            return
        if self._inputs != self._resumed["inputs"]:
            raise ResumeError(f"{self._path.parent} has results of other frames or masks")
        restore_state(self._segmenter, self._resumed["segmenter"])
        self._resumed = None
        self._due = time.monotonic() + _SECONDS

    @property
    def due(self) -> bool:
        """True if it is time for a checkpoint."""
        return self._enabled and time.monotonic() >= self._due

    def save(self, report: Mapping[str, Any]) -> None:
        """Write a checkpoint after the last counted frame, whose mask is on the disk. A failure is logged once."""
        if not self._enabled or not self._frames or self._resumed is not None:
            return
        start = time.monotonic()
        try:
            checkpoint = {
                "settings": self._settings,
                "frames": self._frames,
                "inputs": self._inputs,
                "report": dict(report),
                "segmenter": segmenter_state(self._segmenter),
            }
            with atomic_write(self._path) as temporary:
                torch.save(checkpoint, temporary)
        except (OSError, RuntimeError, ValueError) as error:
            self._enabled = False
            logger.warning(
                "%s: checkpoints can't be written, so --resume will start from the first frame: %s",
                self._path.parent,
                error,
            )
        self._due = time.monotonic() + max(_SECONDS, (time.monotonic() - start) / _SHARE)

    def remove(self) -> None:
        """Remove the checkpoint."""
        self._path.unlink(missing_ok=True)


def check_settings(stored: Mapping[str, str], own: Mapping[str, str], folder: Path) -> None:
    """Raise a ResumeError if the results in a folder have other settings than the run that would resume them."""
    different = [name for name in own if stored.get(name) != own[name]]
    if different:
        names = " and ".join(_SETTINGS.get(name, name) for name in different)
        raise ResumeError(
            f"the results in {folder} differ from this run in {names}",
            "repeat the flags of that run, or run without --resume to replace them",
        )
