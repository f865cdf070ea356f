"""Copy of a video that can be watched while it is written: fragmented mp4."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import av

logger = logging.getLogger(__name__)

_OPTIONS = {"movflags": "frag_every_frame+empty_moov+default_base_moof"}


class GrowingCopy:
    """A copy of a video's packets, readable at any time up to the last frame but one, as ``NAME.incomplete.mp4``.

    A killed program leaves it. If it can't be written, one line is logged, and the video itself is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.stem}.incomplete{path.suffix}")
        self._container: Any = None
        self._stream: Any = None
        self._failed = False

    def write(self, packet: av.Packet, stream: Any) -> None:
        """Append a packet of the video's stream and make it readable. The packet isn't changed."""
        if self._failed:
            return
        try:
            if self._container is None:
                self._container = av.open(str(self.path), "w", format="mp4", options=_OPTIONS)
                self._container.flags |= av.container.Flags.flush_packets.value
                self._stream = self._container.add_stream_from_template(stream)
            copy = av.Packet(bytes(packet))
            copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
            copy.time_base, copy.is_keyframe, copy.stream = packet.time_base, packet.is_keyframe, self._stream
            self._container.mux_one(copy)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._failed = True
            logger.warning("%s can't be watched while it grows: %s", self.path, error)

    def remove(self) -> None:
        """Close and remove the file."""
        self._failed = True
        if self._container is not None:
            try:
                self._container.close()
            except (av.FFmpegError, OSError) as error:
                logger.debug("closing %s: %s", self.path, error)
            self._container = None
        self.path.unlink(missing_ok=True)
