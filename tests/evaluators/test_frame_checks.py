"""Frames of callers: the forms that are read, with their values, and those that are refused, with their messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from voskit.dataloaders.video.source import Frame
from voskit.evaluators.frame_checks import frame_array

FRAME = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
GRAY = FRAME[..., 0]
TENSOR = torch.from_numpy(FRAME)
OPAQUE = np.dstack([FRAME, np.full((6, 8), 255, np.uint8)])
CLEAR = np.dstack([FRAME, np.full((6, 8), 254, np.uint8)])


def palette_image() -> Image.Image:
    image = Image.fromarray(GRAY % 2, "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    return image


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (FRAME[:, ::-1], FRAME[:, ::-1]),
        (Image.fromarray(FRAME), FRAME),
        (Image.fromarray(GRAY), np.dstack([GRAY] * 3)),
        (Image.fromarray(OPAQUE), FRAME),
        (Image.fromarray(GRAY > 99), np.dstack([np.uint8(255) * (GRAY > 99)] * 3)),
        (palette_image(), np.array([[10, 20, 30], [40, 50, 60]], np.uint8)[GRAY % 2]),
        (TENSOR, FRAME),
        (TENSOR.permute(2, 0, 1), FRAME),
        (TENSOR.permute(2, 0, 1)[None], FRAME),
        (TENSOR[None], FRAME),
        (TENSOR / 255, FRAME),
        ((TENSOR.permute(2, 0, 1) / 255).double().requires_grad_(), FRAME),
        (TENSOR[..., 0], np.dstack([GRAY] * 3)),
        (TENSOR[..., :1].permute(2, 0, 1), np.dstack([GRAY] * 3)),
        (torch.from_numpy(OPAQUE).permute(2, 0, 1), FRAME),
        (torch.tensor([[[0.0, 0.5, 1.0]] * 4] * 5, dtype=torch.float16), np.array([[[0, 128, 255]] * 4] * 5, np.uint8)),
        (FRAME.transpose(2, 0, 1), FRAME),
        (FRAME.astype(np.float64) / 255, FRAME),
        (GRAY, np.dstack([GRAY] * 3)),
        (OPAQUE, FRAME),
        (FRAME[:3], FRAME[:3]),  # an array of 3 rows is H x W x C
    ],
)
def test_forms_of_frames(frame: Any, expected: np.ndarray) -> None:
    array = frame_array(frame)
    assert array.dtype == np.uint8
    assert np.array_equal(array, expected)


def test_an_rgb_array_is_returned_as_it_is() -> None:
    assert frame_array(FRAME) is FRAME


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME.tolist(), "an RGB array, a tensor or a PIL image, got list"),
        ("frame.png", "got str: open it with PIL.Image.open"),
        (Frame(0, "00000", FRAME), "got Frame: pass its image"),
        (None, "got NoneType"),
        (Image.fromarray(GRAY.astype(np.uint16)), "mode I;16: scale its values to 8 bits"),
        (Image.fromarray(GRAY.astype(np.float32)), "mode F: scale its values to 8 bits"),
        (Image.fromarray(CLEAR), "transparent pixels: draw it over a background"),
        (Image.new("RGB", (0, 5)), "an empty PIL image"),
        (CLEAR, "transparent pixels"),
        (FRAME[:, :, :2], r"got shape \(6, 8, 2\)"),
        (np.stack([FRAME, FRAME]), r"got shape \(2, 6, 8, 3\): pass one frame at a time"),
        (FRAME[0, 0], r"got shape \(3,\)"),
        (FRAME[:0], r"got shape \(0, 8, 3\)"),
        (TENSOR[:3], r"a tensor of shape \(3, 8, 3\) may be H x W x C or C x H x W"),
        (TENSOR.float(), r"a frame of float32 must be in \[0, 1\], not .*: convert values from 0 to 255 to uint8"),
        (TENSOR / 127.5 - 1, "undo the normalization"),
        (torch.full((6, 8, 3), torch.nan), r"must be in \[0, 1\], not in \[nan"),
        (TENSOR.long(), "must be uint8, or float from 0 to 1, got int64"),
        (FRAME.astype(np.uint16), "got uint16: scale its values to uint8"),
        (FRAME > 3, "got bool"),
    ],
)
def test_frames_that_are_refused(frame: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        frame_array(frame)
    assert "\n" not in str(error.value)
