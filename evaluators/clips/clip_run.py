"""Loop over a clip: prefetched frames, a writer of results, a progress bar, a report, checkpoints."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from voskit.dataloaders.masks.frame_masks import FrameMasks
from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.clips.clip_writer import ClipWriter
from voskit.evaluators.clips.previews import PreviewOptions
from voskit.evaluators.clips.report import ClipReport, ResumeError
from voskit.evaluators.clips.resuming import ClipCheckpoints
from voskit.evaluators.exports.base import Export
from voskit.evaluators.exports.frames import SoftMattes
from voskit.evaluators.progress import progress_bar
from voskit.networks.memory_usage import memory_in_use

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Output options of a clip, which don't affect its masks.

    Attributes:
        fps: rate of the overlay video and of exported ones; None: the frames' times, or 25 frames/s for images.
        max_frames: stop after this many frames.
        progress: show a bar with frames per second and memory.
        overlay: write the overlay video.
        palette: colors of the overlay, ``bright`` or ``davis``.
        exports: export formats.

    Raises:
        ValueError: ``max_frames`` is below 1.
    """

    fps: float | None = None
    max_frames: int | None = None
    progress: bool = True
    overlay: bool = True
    palette: str = "bright"
    exports: tuple[Export, ...] = ()

    def __post_init__(self) -> None:
        if self.max_frames is not None and self.max_frames < 1:
            raise ValueError(f"max_frames must be at least 1, not {self.max_frames}")

    @property
    def soft(self) -> bool:
        """True if an export uses the network's probabilities."""
        return any(export.soft for export in self.exports)


class ClipRun:
    """The loop over a clip; used in a ``with`` block.

    Args:
        source: the frames.
        report: filled in as results are written.
        folder: folder of the results.
        device: the network's device, whose memory use is reported.
        options: options of the results.

    Raises:
        ValueError, OSError: see ``ClipWriter``.
    """

    def __init__(
        self, source: FrameSource, report: ClipReport, folder: Path, device: torch.device, options: OutputOptions
    ) -> None:
        most = options.max_frames
        total = source.num_frames if most is None else min(most, source.num_frames or most)
        self._source, self._report, self._device, self._options = source, report, device, options
        report.cut = most is not None
        previews = PreviewOptions.of(
            source,
            fps=options.fps,
            num_frames=total,
            video=options.overlay,
            whole=most is None and source.whole is source,
            palette=options.palette,
        )
        self._writer = ClipWriter(folder, report, previews, options.exports, source)
        self._bar = progress_bar(total=total, desc=source.name, unit="frame", shown=options.progress)
        self._stack = ExitStack()
        self._start = time.perf_counter()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._bar)
            stack.enter_context(self._writer)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, read ahead in the background, up to ``max_frames``."""
        for frame in self._stack.enter_context(closing(prefetch(self._source))):
            yield frame
            if frame.index + 1 == self._options.max_frames:
                return

    def resume(self, checkpoints: ClipCheckpoints) -> None:
        """Continue the report of an interrupted run, and keep its masks.

        Raises:
            ResumeError: its frames can't be kept, or an export needs their probabilities.
        """
        stored = checkpoints.load()
        if stored is None:
            logger.info("%s: no checkpoint to resume from, starting at the first frame", self._source.name)
            return
        frames, fields, most = int(stored["frames"]), vars(self._report), self._options.max_frames
        if most is not None and frames > most:
            raise ResumeError(f"{frames} frames are already done, more than --max_frames", "run without --resume")
        refuse_soft_exports(self._options.exports)
        self._writer.keep([self._source.name_of(number) for number in range(frames)])
        logger.info("%s: resuming at frame %d", self._source.name, frames)
        fields.update({**stored, "settings": self._report.settings, "cut": self._report.cut, "complete": False})
        self._start -= self._report.seconds

    def new_frames(self, masks: FrameMasks, checkpoints: ClipCheckpoints) -> Iterator[tuple[Frame, np.ndarray | None]]:
        """Yield the frames to segment and their masks; redraw those before the checkpoint. Write checkpoints."""
        done = self._report.frames
        try:
            for frame in self.frames():
                mask = masks(frame)
                if frame.index < done:
                    checkpoints.count(frame, mask)
                    self._writer.redraw(frame)
                    self._bar.update()
                    continue
                yield frame, mask
                checkpoints.count(frame, mask)
                if checkpoints.due:
                    self._save(checkpoints)
            if frame.index + 1 < done:
                raise ResumeError(f"{self._source.name} has fewer frames than were segmented", "run without --resume")
        except GeneratorExit:  # interrupted within a frame: no frame has this memory
            raise
        except Exception:  # a frame or mask is damaged: the frames before it are done
            with suppress(OSError, ValueError):
                self._save(checkpoints)
            raise

    def _save(self, checkpoints: ClipCheckpoints) -> None:
        self._writer.flush()
        checkpoints.save(vars(self._report))

    def write(
        self,
        frame: Frame,
        ids_HW: np.ndarray,
        *state: str,
        mattes: SoftMattes | None = None,
        quality: Mapping[int, Any] | None = None,
    ) -> None:
        """Queue a frame's results, and count it.

        Args:
            frame: the frame.
            ids_HW: its object ids.
            state: texts for the progress bar.
            mattes: soft mattes for the exports.
            quality: quality of each object by id, see ``VideoSegmenter.quality``.
        """
        if quality:
            self._report.measure(frame.name, quality)
        self._writer.write(frame, ids_HW, mattes)
        self._report.frames += 1
        if frame.time is not None:
            self._report.times[frame.name] = round(frame.time, 6)
        self._report.seconds = round(time.perf_counter() - self._start, 3)
        memory = memory_in_use(self._device)
        self._report.peak_memory = max(memory or 0, self._report.peak_memory or 0) or None
        texts = [*state, *([] if memory is None else [f"{memory / 2**30:.2f} GiB"])]
        self._bar.set_postfix_str(", ".join(texts), refresh=False)
        self._bar.update()


def refuse_soft_exports(exports: tuple[Export, ...]) -> None:
    """Raise ResumeError if an export needs probabilities, which finished frames no longer have."""
    if soft := [export.output for export in exports if export.soft]:
        raise ResumeError(
            f"the soft edges of {' and '.join(soft)} need the network's probabilities of all frames, but some are done",
            "run without --resume, or export with edges=hard",
        )
