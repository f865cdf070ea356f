"""Audio track of a source, copied to a video that is made from it."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

logger = logging.getLogger(__name__)

_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_GAP = 0.1  # seconds without audio that are kept
_PLAYABLE = frozenset(("aac", "ac3", "alac", "eac3", "flac", "mp3", "opus", "vorbis"))


class AudioCopy:
    """The audio of a file, as packets for another container.

    Codecs that the container holds and players know are copied, others are encoded to AAC, or to Opus for WebM. If that
    fails, one line is logged, and the rest of the video has no audio.

    Args:
        url: the file, for FFmpeg.
        container: the video to write, before its header is written; a stream is added to it.
        start: time in seconds at which the video begins; the audio before is left out.

    Raises:
        ValueError, OSError: the file has no audio that can be read, or no encoder fits.
    """

    def __init__(self, url: str, container: Any, start: float = 0.0) -> None:
        self._container = container
        self._source = av.open(url)
        try:
            self._stream = self._source.streams.audio[0]
            self._start = (self._source.start_time or 0) / 1e6 + start
            self._cut = start > 0
            context = self._stream.codec_context
            if context is None:
                raise ValueError("its codec is unknown")
            if context.codec.canonical_name in _PLAYABLE & container.supported_codecs:
                self.stream = container.add_stream_from_template(self._stream)
                self._packets = self._copied()
            else:
                rate = context.sample_rate
                if "aac" in container.supported_codecs:
                    self.stream = container.add_stream("aac", rate=rate if rate in _AAC_RATES else 48000)
                else:
                    self.stream = container.add_stream("libopus", rate=48000)
                self.stream.codec_context.layout = "mono" if context.layout.nb_channels == 1 else "stereo"
                self._packets = self._encoded()
            self._next: Any = next(self._packets, None)
        except BaseException:
            self._source.close()
            raise

    def write_until(self, time: float) -> None:
        """Write the packets before a time in seconds."""
        try:
            while self._next is not None and self._time(self._next) < time:
                self._container.mux_one(self._next)
                self._next = next(self._packets, None)
        except (av.FFmpegError, ValueError) as error:
            logger.warning("%s: the audio ends at %.2f s (%s)", self._source.name, time, error)
            self._next = None

    def close(self) -> None:
        """Close the source."""
        self._next = None
        self._source.close()

    def _time(self, packet: av.Packet) -> float:
        return float((packet.pts or 0) * (packet.time_base or 0))

    def _copied(self) -> Iterator[av.Packet]:
        shift, last = round(self._start / float(self._stream.time_base or 1)), -math.inf
        for packet in self._source.demux(self._stream):
            if packet.pts is None or packet.dts is None or packet.dts <= last:
                continue
            last = packet.dts
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if self._cut and packet.pts < 0:
                continue
            packet.stream = self.stream
            yield packet

    def _encoded(self) -> Iterator[av.Packet]:
        encoder = self.stream.codec_context
        rate, position = encoder.sample_rate, -1
        resampler = av.AudioResampler(
            format=encoder.format, layout=encoder.layout, rate=rate, frame_size=encoder.frame_size
        )
        for frame in itertools.chain(self._source.decode(self._stream), (None,)):
            stated = 0 if frame is None or frame.time is None else round((frame.time - self._start) * rate)
            if self._cut and stated < 0:
                continue
            for resampled in resampler.resample(frame):
                # small deviations are rounding; packets must not overlap
                if position < 0 or stated > position + _GAP * rate:
                    position = max(0, stated)
                resampled.pts, resampled.time_base = position, Fraction(1, rate)
                position += resampled.samples
                yield from self.stream.encode(resampled)
        yield from self.stream.encode(None)
