"""Export of existing masks to other formats, without a network."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from voskit.dataloaders import MAX_ID
from voskit.dataloaders.masks.frame_masks import FrameMasks, masks_for
from voskit.dataloaders.video.frames import open_frames
from voskit.dataloaders.video.prefetch import prefetch
from voskit.dataloaders.video.source import Frame, FrameSource
from voskit.evaluators.exports.base import ExportClip, build_exports
from voskit.evaluators.exports.frames import ExportFrame
from voskit.evaluators.exports.writer import ExportWriter
from voskit.evaluators.frame_checks import ImageLike, is_tensor

logger = logging.getLogger(__name__)

Masks = Callable[[Frame], "ImageLike | None"]


def export_masks(
    source: str | os.PathLike[str] | FrameSource,
    masks: str | os.PathLike[str] | Masks,
    folder: str | os.PathLike[str],
    formats: Sequence[str],
    *,
    names: Mapping[int, str] | None = None,
    quality: Mapping[str, Mapping[int, Mapping[str, float]]] | None = None,
    fps: float | None = None,
    num_frames: int | None = None,
    progress: bool = False,
) -> list[Path]:
    """Export masks in other formats.

    ::

        export_masks("my_video.mp4", "out/my_video/masks", "exports", ["coco", "csv", "alpha:bits=16"])

    Masks have no probabilities, so formats with soft edges get hard ones; this is logged.

    Args:
        source: the frames: a source of ``open_frames``, or its argument.
        masks: a folder of masks named like their frames; or a function that returns a frame's ids, H x W integers
            (array, tensor or PIL image), or None. A frame without a mask is background. With a folder, frames after
            the last mask aren't exported.
        folder: output folder; each format writes its own file or folder there, replacing an earlier export.
        formats: names of formats, with options: see docs/exports.md.
        names: names of the objects by id; None: those stored with the masks.
        quality: the network's measures of each object, by frame name and id, for ``csv``.
        fps: constant frame rate of exported videos; None: the times of the source, or 25 for images.
        num_frames: stop after this many frames.
        progress: show a progress bar.

    Returns:
        Paths of the files and folders that were written.

    Raises:
        ValueError: a format or option is unknown, ``fps`` or ``num_frames`` isn't positive, or a frame or mask is
            damaged or has another size.
        OSError: a file can't be read or written.
    """
    exports = build_exports(formats)
    if names is not None and not (isinstance(names, Mapping) and all(isinstance(key, Integral) for key in names)):
        raise ValueError(f"names must map ids to names, such as {{1: 'cat'}}, not {names!r}")
    if fps is not None and not 0 < fps < math.inf:
        raise ValueError(f"fps must be a positive number of frames per second, not {fps}")
    if num_frames is not None and num_frames < 1:
        raise ValueError(f"num_frames must be at least 1, not {num_frames}")
    if soft := [text for text, export in zip(formats, exports, strict=True) if export.soft]:
        logger.info("%s: hard edges, because masks have no probabilities", ", ".join(soft))
    with ExitStack() as stack:
        frames = source if isinstance(source, FrameSource) else stack.enter_context(open_frames(source))
        mask_of: Masks
        if callable(masks):
            mask_of = masks
        else:
            of_frames = masks_for(masks, frames, scene=True)
            of_frames.check_names(frames)
            if of_frames.single:
                raise ValueError(f"{masks} is one mask: give a folder of masks named like the frames, or a function")
            names = of_frames.names if names is None else names
            mask_of = of_frames
        clip = ExportClip.of(frames, fps=fps, names={} if names is None else names, whole=num_frames is None)
        writer = ExportWriter(Path(folder), exports, clip)
        try:
            for frame in _frames(stack, frames, num_frames, progress):
                if isinstance(mask_of, FrameMasks) and mask_of.all_used:
                    clip.whole = False
                    break
                measures = (quality or {}).get(frame.name, {})
                writer.write(ExportFrame(frame, _ids(mask_of(frame), frame), frames.file_of(frame), None, measures))
        except BaseException:
            writer.abort()
            raise
        writer.close()
    return [export.path for export in exports]


def _frames(stack: ExitStack, source: FrameSource, num_frames: int | None, progress: bool) -> Any:
    total = source.num_frames if num_frames is None else num_frames
    bar = stack.enter_context(tqdm(total=total, desc=f"{source.name}: export", unit="frame", disable=not progress))
    for frame in stack.enter_context(closing(prefetch(source))):
        yield frame
        bar.update()
        if frame.index + 1 == num_frames:
            return


def _ids(mask: ImageLike | None, frame: Frame) -> np.ndarray:
    """Return a frame's ids, zeros if it has no mask.

    Raises:
        ValueError: the mask's size differs from the frame's, or its values aren't ids.
    """
    size = frame.image.shape[:2]
    if mask is None:
        return np.zeros(size, np.uint8)
    ids_HW = np.array(mask.cpu() if is_tensor(mask) else mask)  # a copy: a function may return one buffer each time
    if ids_HW.shape != size:
        raise ValueError(f"the mask of frame {frame.name} has shape {ids_HW.shape}, but the frame has {size}")
    if ids_HW.dtype != bool and not np.issubdtype(ids_HW.dtype, np.integer):
        raise ValueError(f"the mask of frame {frame.name} must hold integer object ids, not {ids_HW.dtype}")
    if ids_HW.min() < 0 or ids_HW.max() > MAX_ID:
        raise ValueError(
            f"the mask of frame {frame.name} must hold ids from 0 to {MAX_ID}, not {ids_HW.min()} to {ids_HW.max()}"
        )
    return ids_HW
