"""Identity of an annotated clip, so that its results aren't mixed with those of another clip of the same name."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from voskit.dataloaders.files import load_json
from voskit.dataloaders.video.source import FrameSource

logger = logging.getLogger(__name__)

SOURCE = "source.json"
"""File of the identity, in the folder of the results."""


def identify(source: FrameSource, count: int) -> dict[str, int | str]:
    """Return properties that distinguish a clip of ``count`` frames from others of the same name, in any folder."""
    height, width = source.size
    checksum = "damaged"
    with suppress(ValueError, StopIteration):
        middle = next(source.between(count // 2, count // 2)).image  # many clips start with black frames
        checksum = hashlib.sha256(middle.tobytes()).hexdigest()[:16]
    return {"frames": count, "width": width, "height": height, "middle_frame": checksum}


def check_identity(folder: Path, source: FrameSource, identity: dict[str, int | str], names: Sequence[str]) -> None:
    """Check that the masks in a folder, if there are any, are of this clip.

    Args:
        folder: folder of the results.
        source: the clip.
        identity: identity of the clip.
        names: names of its frames.

    Raises:
        ValueError: they are of another clip, or the file of the identity is damaged.
    """
    path = folder / SOURCE
    if path.exists():
        try:
            known = load_json(path)
        except ValueError:
            raise ValueError(f"{path} is damaged: remove it if the masks in this folder are of this clip") from None
        if known != identity:
            raise ValueError(
                f"{folder} holds masks of a clip other than {source.name} ({known}, not {identity}): give another "
                f"output folder, or remove {path} if the masks are of this clip"
            )
    elif any((folder / "masks" / f"{name}.png").exists() for name in names):
        logger.warning("%s has no source.json: its masks are assumed to be of this clip", folder)
