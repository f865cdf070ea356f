"""Video formats: containers, codecs and pixels of the videos that are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

_MAX_H264_SIDE = 16384  # limit of libx264


@dataclass(frozen=True, kw_only=True)
class VideoFormat:
    """A kind of video file.

    Attributes:
        suffix: of the file's name.
        container: FFmpeg's name of the container.
        codec: FFmpeg's name of the encoder.
        pixels: FFmpeg's name of the pixel format.
        alpha: frames have an alpha channel.
        options: options of the encoder.
        container_options: options of the container.
        max_side: the codec's limit on width and height; larger frames are scaled down.
        even: width and height must be even, so odd frames get their last column or row twice.
        bitrate_free: the encoder's bit rate is set to 0, so that its quality option counts.
        metadata: of the stream.
    """

    suffix: str = ".mp4"
    container: str = "mp4"
    codec: str = "libx264"
    pixels: str = "yuv420p"
    alpha: bool = False
    # without B-frames the packets are in the order of their times, and the last one ends with the video
    options: Mapping[str, str] = field(default_factory=lambda: {"crf": "20", "preset": "veryfast", "bf": "0"})
    container_options: Mapping[str, str] = field(default_factory=lambda: {"movflags": "+faststart"})
    max_side: int = _MAX_H264_SIDE
    even: bool = True
    bitrate_free: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """3 for RGB, 4 for RGB and opacity."""
        return 4 if self.alpha else 3

    def picture(self, image: np.ndarray) -> av.VideoFrame:
        """Return an image, H x W x 3 or 4, uint8 (or uint16 with opacity), in the format's pixels and BT.709."""
        kind = "rgb24" if image.shape[2] == 3 else "rgba64le" if image.dtype == np.uint16 else "rgba"
        # with several threads, FFmpeg writes random pixels into 16-bit pictures whose width is no multiple of 16
        threads = 1 if image.dtype == np.uint16 else None
        return av.VideoFrame.from_ndarray(image, format=kind).reformat(
            format=self.pixels, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=threads
        )

    def check_encoder(self) -> None:
        """Raise a ValueError if FFmpeg can't encode this format here."""
        if not has_encoder(self.codec):
            raise ValueError(f"FFmpeg has no encoder {self.codec} here: install the package av from its wheels")


H264 = VideoFormat()
PRORES_4444 = VideoFormat(
    suffix=".mov",
    container="mov",
    codec="prores_ks",
    pixels="yuva444p10le",
    even=False,
    alpha=True,
    options={"profile": "4444", "alpha_bits": "16", "vendor": "apl0"},
)
VP9_ALPHA = VideoFormat(
    suffix=".webm",
    container="webm",
    codec="libvpx-vp9",
    pixels="yuva420p",
    even=False,
    alpha=True,
    # alternate reference frames and lag don't work with an alpha channel
    options={
        "crf": "24",
        "auto-alt-ref": "0",
        "lag-in-frames": "0",
        "deadline": "good",
        "cpu-used": "5",
        "row-mt": "1",
    },
    container_options={},
    bitrate_free=True,
    metadata={"alpha_mode": "1"},
)


def has_encoder(name: str) -> bool:
    """True if FFmpeg has an encoder."""
    try:
        av.codec.Codec(name, "w")
    except ValueError:  # av.codec.codec.UnknownCodecError
        return False
    return True


def tag_colors(context: Any) -> None:
    """Mark a video as BT.709 of limited range."""
    context.color_primaries = context.color_trc = context.colorspace = 1
    context.color_range = 1
