"""Stray pieces of objects, in the engine and by the runtime's own form of the rule."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames, squares
from small_models import build_small

from voskit.evaluators import VideoSegmenter
from voskit.networks.engines.objects import resize_labels
from voskit.networks.engines.prediction import Prediction
from voskit.networks.engines.quality.strays import without_strays
from voskit.runtime.strays import remove_strays

SIZE = (40, 60)
DISTANCE = 0.2  # 8 positions


def prediction_of(label_HW: np.ndarray, objects: int, group_size: int = 10) -> Prediction:
    """A prediction whose likeliest slots are those of a map; the next likeliest one is the background."""
    groups = -(-objects // group_size)
    logits = torch.full((groups, group_size + 1, *label_HW.shape), -9.0)
    logits[:, 0] = 0.0
    for slot in range(1, objects + 1):
        group, identity = divmod(slot - 1, group_size)
        logits[group, identity + 1][torch.from_numpy(label_HW == slot)] = 5.0
    return Prediction(logits, list(range(1, objects + 1)), label_HW.shape, True)


def label_map(*boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    label_HW = np.zeros(SIZE, np.int32)
    for slot, top, left, height, width in boxes:
        label_HW[top : top + height, left : left + width] = slot
    return label_HW


BEFORE = label_map((1, 10, 10, 8, 8), (2, 10, 22, 8, 8))
NEAR, FAR = (1, 12, 12, 8, 8), (1, 12, 45, 8, 8)


@pytest.mark.parametrize("group_size", [10, 1])
@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (label_map(NEAR, FAR), label_map(NEAR)),
        (label_map(NEAR, (1, 22, 25, 3, 3)), label_map(NEAR, (1, 22, 25, 3, 3))),  # at most 8 positions away
        (label_map(FAR), label_map(FAR)),  # it has moved
        (label_map((1, 12, 12, 4, 4), FAR), label_map((1, 12, 12, 4, 4), FAR)),  # it comes back, beside a remnant
        (label_map(FAR, (1, 30, 45, 4, 4)), label_map(FAR, (1, 30, 45, 4, 4))),
        (label_map(NEAR, (2, 12, 45, 8, 8)), label_map(NEAR, (2, 12, 45, 8, 8))),
        (label_map((2, 10, 22, 8, 8), FAR, NEAR, (2, 30, 2, 4, 4)), label_map((2, 10, 22, 8, 8), NEAR)),
        (label_map(), label_map()),
    ],
)
def test_pieces_far_from_the_previous_mask_are_dropped_if_as_much_is_near(
    label: np.ndarray, expected: np.ndarray, group_size: int
) -> None:
    found = without_strays(prediction_of(label, 2, group_size), torch.from_numpy(BEFORE), DISTANCE)
    assert (found.argmax().numpy() == expected).all()


def test_masks_of_a_different_size_are_resized() -> None:
    before = cv2.resize(BEFORE.astype(np.uint8), None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST).astype(np.int32)
    found = without_strays(prediction_of(label_map(NEAR, FAR), 2), torch.from_numpy(before), DISTANCE)
    assert (found.argmax().numpy() == label_map(NEAR)).all()


@pytest.mark.parametrize("group_size", [10, 3])
def test_the_runtime_drops_the_same_pieces(group_size: int) -> None:
    rng = np.random.default_rng(0)
    dropped = 0
    for _ in range(20):
        label, before = (
            np.repeat(np.repeat(rng.integers(0, 6, (8, 12)), 5, 0), 5, 1).astype(np.int32) for _ in range(2)
        )
        prediction = prediction_of(label, 5, group_size)
        found = without_strays(prediction, torch.from_numpy(before), DISTANCE)
        logits = prediction._logits.numpy().copy()
        places = [prediction._place(slot) for slot in prediction.slots]
        remove_strays(logits, prediction.argmax().numpy(), before, prediction.slots, places, DISTANCE)
        assert (logits == found._logits.numpy()).all()
        dropped += int((logits < -1e9).sum() > (prediction._logits < -1e9).sum())
    assert dropped > 10


@pytest.mark.parametrize("static", [False, True])
def test_an_engine_drops_them_from_the_mask_and_the_memory(static: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watched(prediction: Prediction, before: torch.Tensor, distance: float) -> Prediction:
        seen.append(sorted(resize_labels(before, (H, W)).unique().tolist()))
        assert distance == DISTANCE
        return prediction.without(prediction.slots[:1])

    monkeypatch.setattr("voskit.networks.engines.quality.strays.without_strays", watched)
    torch.manual_seed(0)
    segmenter = VideoSegmenter(build_small("aott", stray_distance=DISTANCE), static_memory=static)
    frames = moving_frames(6)
    segmenter.step(frames[0], squares(4, 7))
    assert 4 not in segmenter.step(frames[1])
    assert seen == [[0, 1, 2]]
    segmenter.step(frames[2], squares(0, 0, 9))
    segmenter.delete_objects(4)
    segmenter.step(frames[3])
    assert len(seen) == 2, "without slots of a frame before the deletion"
    segmenter.step(frames[4])
    assert len(seen) == 3
    segmenter.reset()
    segmenter.step(frames[0], squares(4))
    assert len(seen) == 3
