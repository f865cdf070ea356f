"""Masks passed to ``VideoSegmenter.step``: arrays, tensors, PIL images; 255; smooth edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from inputs_table import ONE, TWO, picture
from PIL import Image, ImageFilter

from voskit.dataloaders.masks.palette import davis_palette
from voskit.evaluators.given_masks import ids_of_mask

WHITE = ONE * np.uint8(255)
LEVELS = np.array([0, 255, 128], np.uint8)[TWO]
SOFT = np.array(Image.fromarray(WHITE).filter(ImageFilter.GaussianBlur(1)))


def _palette() -> Image.Image:
    image = Image.fromarray(TWO)
    image.putpalette(davis_palette())
    return image


@pytest.mark.parametrize(
    ("mask", "ids"),
    [
        (TWO, TWO),
        (ONE.astype(bool), ONE),
        (WHITE, ONE),
        (WHITE.astype(np.int64), ONE),
        (WHITE.astype(np.uint16), WHITE),
        (LEVELS, LEVELS),
        (SOFT.astype(np.uint16), SOFT),
        (torch.from_numpy(TWO), TWO),
        (torch.from_numpy(WHITE)[None], ONE),
        (torch.from_numpy(TWO.astype(np.int64)), TWO),
        (Image.fromarray(TWO), TWO),
        (Image.fromarray(WHITE), ONE),
        (Image.fromarray(WHITE).convert("1"), ONE),
        (Image.fromarray(WHITE).convert("RGBA"), ONE),
        (_palette(), TWO),
        (picture({0: (0, 0, 0), 1: (9, 0, 0), 2: (200, 0, 0)}), TWO),
    ],
)
def test_masks_that_are_taken(mask: Any, ids: np.ndarray) -> None:
    assert np.array_equal(ids_of_mask(mask, [], False)[0], ids)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("first.png", "the mask is a path, first.png: read it with read_mask"),
        (SOFT, "most of them from smooth edges: pass ids, such as mask > 127"),
        (Image.fromarray(SOFT), "most of them from smooth edges"),
        (torch.from_numpy(SOFT), "most of them from smooth edges"),
        (SOFT.astype(np.int32), "most of them from smooth edges"),
        (np.arange(256, dtype=np.uint8).reshape(16, 16), "looks like a photo"),
        (picture({0: (255, 255, 255), 1: (9, 0, 0), 2: (200, 0, 0)}), "no pixel is black"),
    ],
)
def test_masks_that_are_refused(mask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ids_of_mask(mask, [], False)


def test_255_keeps_its_meaning_during_a_video() -> None:
    assert ids_of_mask(WHITE, [1], True)[1]
    ids, white = ids_of_mask(WHITE, [255], False)
    assert np.array_equal(ids, WHITE) and not white
    with pytest.raises(ValueError, match="an earlier mask of 0 and 255 was read as object 1"):
        ids_of_mask(LEVELS, [1], True)
