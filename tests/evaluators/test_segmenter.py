"""VideoSegmenter: the public contract, on small networks with random weights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames, squares
from PIL import Image
from thorough import mark_thorough

from voskit.configs import list_models
from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model
from voskit.networks.memory import StoredFrame


@pytest.fixture(scope="module")
def aott():
    torch.manual_seed(0)
    return build_model("aott", device="cpu")


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return moving_frames(12)


ONE_EACH = {"aott", "deaott", "aost", "swinb_deaotl", "rs101_aotl", "xmem", "jointformer"}
"""A model of each family and kind of encoder."""


@pytest.mark.parametrize(
    "name", mark_thorough(list_models("semi_supervised"), set(list_models("semi_supervised")) - ONE_EACH)
)
def test_every_model_segments(name: str, frames) -> None:
    torch.manual_seed(0)
    segmenter = VideoSegmenter(build_model(name, device="cpu"), long_term_gap=1, short_edge=-1)
    given = squares(3, 300)
    assert np.array_equal(segmenter.step(frames[0], mask=given), given)
    ids, probs = segmenter.step(frames[1], return_probs=True)
    assert ids.shape == (H, W)
    assert ids.dtype == np.uint16
    assert set(np.unique(ids)) <= {0, 3, 300}
    assert probs.shape == (3, H, W)
    assert probs.dtype == torch.float32
    assert torch.allclose(probs.sum(0), torch.ones(H, W), atol=1e-5)
    assert np.array_equal(np.array([0, 3, 300])[probs.argmax(0).numpy()], ids)
    assert segmenter.object_ids == [3, 300]
    assert segmenter.memory_frames == 2


def test_frames_before_the_first_mask_are_background_and_leave_no_trace(aott, frames) -> None:
    late, fresh = VideoSegmenter(aott), VideoSegmenter(aott)
    for frame in frames[:3]:
        ids, probs = late.step(frame, return_probs=True)
        assert not ids.any()
        assert probs.shape == (1, H, W)
        assert probs.min() == 1
    assert late.memory_frames == 0
    given = squares(1, 2)
    for frame, mask in zip(frames[3:7], [given, None, None, None], strict=True):
        assert np.array_equal(late.step(frame, mask), fresh.step(frame, mask))


@pytest.mark.parametrize(
    ("name", "count", "views"),
    [  # AOST and JointFormer decide by the same code as AOT and XMem
        ("aott", 13, {}),
        ("deaott", 2, {"scales": (1.0, 1.2), "flip": True}),
        ("deaott", 13, {"scales": (1.0, 1.2), "flip": True}),
        ("xmem", 3, {"short_edge": -1}),
    ],
)
def test_without_background_every_pixel_has_an_object(name: str, count: int, views, frames) -> None:
    torch.manual_seed(0)
    model = build_model(name, device="cpu", background=False)
    given = squares(*range(1, count + 1))
    segmenter = VideoSegmenter(model, **views)
    ids = segmenter.step(frames[0], mask=given)
    assert (ids == given).mean() > 0.99  # what a mask says of its own frame stays
    assert not ids.all()
    for frame in frames[1:4]:
        ids, probs = segmenter.step(frame, return_probs=True)
        assert ids.all()
        assert not probs[0].any()
        assert torch.allclose(probs.sum(0), torch.ones(H, W), atol=1e-5)
    segmenter.delete_objects([1])
    assert set(np.unique(segmenter.step(frames[4]))) <= set(range(2, count + 1))
    plain = VideoSegmenter(model, background=True, **views)
    plain.step(frames[0], mask=given)
    assert plain.step(frames[1], return_probs=True)[1][0].min() > 0


def test_probabilities_are_a_tensor_like_any_other(aott, frames) -> None:
    segmenter = VideoSegmenter(aott)
    segmenter.step(frames[0], mask=squares(1))
    _, probs = segmenter.step(frames[1], return_probs=True)
    probs[0] *= 0.5
    assert not probs.is_inference()
    ((_, together),) = VideoSegmenter.step_together([segmenter], [frames[2]], return_probs=True)
    assert not together.is_inference()


@pytest.mark.parametrize("size", [(0, 1), 120, (3,), (24.0, 32.0), ("a", "b")])
def test_impossible_output_sizes_are_refused(aott, frames, size) -> None:
    segmenter = VideoSegmenter(aott)
    with pytest.raises(ValueError, match=r"output_size must be \(height, width\) in pixels or None, got"):
        segmenter.step(frames[0], mask=squares(1), output_size=size)
    assert segmenter.object_ids == []


def test_a_mask_without_objects_is_ignored(aott, frames) -> None:
    segmenter = VideoSegmenter(aott)
    assert not segmenter.step(frames[0], mask=np.zeros((H, W), np.uint8)).any()
    assert segmenter.object_ids == []


@pytest.mark.parametrize("ids", [(1, 2, 3), (7, 65535, 12)])
def test_ids_are_those_of_the_user(aott, frames, ids) -> None:
    own, plain = VideoSegmenter(aott), VideoSegmenter(aott)
    order = np.argsort(ids)
    a = own.step(frames[0], mask=squares(*ids))
    b = plain.step(frames[0], mask=squares(*(np.argsort(order) + 1).tolist()))
    for frame in frames[1:4]:
        assert np.array_equal(a, np.array([0, *np.sort(ids)])[b])
        a, b = own.step(frame), plain.step(frame)


def test_later_masks_add_objects_and_override_the_prediction(aott, frames) -> None:
    segmenter = VideoSegmenter(aott, long_term_gap=2)
    segmenter.step(frames[0], mask=squares(5, 2))
    segmenter.step(frames[1])
    new = np.zeros((H, W), np.uint8)
    new[40:60, 50:90] = 4
    new[:9, :9] = 2
    ids, probs = segmenter.step(frames[2], mask=new, return_probs=True)
    assert segmenter.object_ids == [2, 5, 4]
    assert np.array_equal(ids[new > 0], new[new > 0])
    assert probs.shape == (4, H, W)
    assert torch.equal(probs[3], torch.from_numpy(new == 4).float())
    assert torch.allclose(probs.sum(0), torch.ones(H, W), atol=1e-5)
    assert segmenter.step(frames[3], return_probs=True)[1][3].max() > 1e-4


@pytest.mark.parametrize(
    "name", mark_thorough(["aott", "deaott", "aost", "xmem"], ["xmem"])
)  # JointFormer takes masks by XMem's code
def test_a_complete_mask_says_where_all_objects_are(name: str, frames) -> None:
    torch.manual_seed(0)
    segmenter = VideoSegmenter(build_model(name, device="cpu"))
    segmenter.step(frames[0], mask=squares(1, 2, 3))
    only = squares(0, 2)
    assert np.array_equal(segmenter.step(frames[1], mask=only, complete=True), only)
    ids, probs = segmenter.step(frames[2], mask=np.zeros_like(only), complete=True, return_probs=True)
    assert not ids.any()
    assert (probs[0] >= probs[1:].amax(0)).all()
    assert segmenter.object_ids == [1, 2, 3]
    assert segmenter.step(frames[3]).shape == (H, W)


def test_an_empty_mask_is_complete_without_objects(aott, frames) -> None:
    segmenter = VideoSegmenter(aott)
    assert not segmenter.step(frames[0], mask=np.zeros((H, W), np.uint8), complete=True).any()
    assert segmenter.memory_frames == 0


def test_more_objects_than_a_bank_holds_equal_the_groups_of_an_original(aott, frames) -> None:
    """Each group is a network of its own that takes the other groups' objects for background."""
    segmenter = VideoSegmenter(aott)
    mask = squares(*range(1, 14))
    segmenter.step(frames[0], mask=mask)
    logits = []
    engine = segmenter._engines[0]
    decode = engine.network.decode
    engine.network.decode = lambda *a: logits.append(decode(*a)) or logits[-1]
    try:
        segmenter.step(frames[1])
    finally:
        del engine.network.decode
    first, second = VideoSegmenter(aott), VideoSegmenter(aott)
    first.step(frames[0], mask=np.where(mask <= 10, mask, 0))
    second.step(frames[0], mask=np.where(mask > 10, mask, 0))
    p1, p2 = (s.step(frames[1], return_probs=True)[1] for s in (first, second))
    resized = torch.nn.functional.interpolate(logits[0], (H, W), mode="bilinear", align_corners=True)
    assert torch.allclose(resized[0].softmax(0), p1, atol=1e-4)
    assert torch.allclose(resized[1, :4].softmax(0), p2, atol=1e-4)


def test_groups_that_begin_later_have_their_own_memory(aott, frames) -> None:
    segmenter = VideoSegmenter(aott, long_term_gap=1)
    segmenter.step(frames[0], mask=squares(*range(1, 10)))
    segmenter.step(frames[1])
    segmenter.step(frames[2], mask=np.where(squares(*range(1, 14)) >= 10, squares(*range(1, 14)), 0))
    segmenter.step(frames[3])
    banks = segmenter._engines[0]._banks
    assert [(len(b), b.groups) for b in banks] == [(4, 1), (2, 1)]
    assert len(segmenter.object_ids) == 13


def test_deleted_objects_disappear(aott, frames) -> None:
    segmenter = VideoSegmenter(aott, long_term_gap=1)
    segmenter.step(frames[0], mask=squares(1, 2, 3))
    segmenter.step(frames[1])
    segmenter.delete_objects([2])
    ids, probs = segmenter.step(frames[2], return_probs=True)
    assert segmenter.object_ids == [1, 3]
    assert 2 not in np.unique(ids)
    assert probs.shape == (3, H, W)
    with pytest.raises(ValueError, match=r"there is no object 2; the objects are \[1, 3\]"):
        segmenter.delete_objects([2])
    segmenter.delete_objects([1, 3])
    assert not segmenter.step(frames[3]).any()
    assert segmenter.memory_frames == 0


def test_an_id_can_come_back_after_it_was_deleted(aott, frames) -> None:
    segmenter = VideoSegmenter(aott)
    segmenter.step(frames[0], mask=squares(1, 2))
    segmenter.delete_objects([1])
    new = np.zeros((H, W), np.uint8)
    new[30:60, 30:60] = 1
    segmenter.step(frames[1], mask=new)
    assert segmenter.object_ids == [2, 1]
    assert set(np.unique(segmenter.step(frames[2]))) <= {0, 1, 2}


def test_a_group_without_objects_is_dropped_and_its_slots_are_reused(aott, frames) -> None:
    segmenter = VideoSegmenter(aott, long_term_gap=1)
    segmenter.step(frames[0], mask=squares(*range(1, 24)))
    segmenter.step(frames[1])
    engine = segmenter._engines[0]
    assert engine._banks[0].groups == 3
    segmenter.delete_objects(range(1, 11))
    assert engine._banks[0].groups == 2
    expected, remaining = VideoSegmenter(aott, long_term_gap=1), squares(*range(1, 24))
    expected.step(frames[0], mask=np.where(remaining > 10, remaining, 0))
    ids = segmenter.step(frames[2])
    assert set(np.unique(ids)) <= {0, *range(11, 24)}
    new = np.zeros((H, W), np.uint8)
    new[30:60, 30:60] = 50
    segmenter.step(frames[3], mask=new)
    assert engine.slots == list(range(1, 15))
    assert segmenter.step(frames[4], return_probs=True)[1][14].max() > 1e-4


def test_reset_starts_a_new_video(aott, frames) -> None:
    segmenter, fresh = VideoSegmenter(aott), VideoSegmenter(aott)
    segmenter.step(frames[5], mask=squares(9))
    segmenter.step(frames[6])
    segmenter.reset()
    assert segmenter.object_ids == []
    segmenter.step(np.zeros((40, 50, 3), np.uint8))
    segmenter.reset()
    for frame, mask in zip(frames[:3], [squares(1, 2), None, None], strict=True):
        assert np.array_equal(segmenter.step(frame, mask), fresh.step(frame, mask))


def test_bounded_memory_stays_bounded(aott, frames) -> None:
    segmenter = VideoSegmenter(aott, long_term_gap=1, max_memory_frames=3)
    segmenter.step(frames[0], mask=squares(1, 2))
    sizes = []
    for frame in frames[1:]:
        segmenter.step(frame)
        sizes.append((segmenter.memory_frames, segmenter.memory_bytes))
    assert sizes[-1][0] == 3
    assert len(set(sizes[2:])) == 1


@dataclass(frozen=True)
class LatestOnly:
    max_frames: int

    def due(self, frame: int, last: int) -> bool:
        return True

    def place(self, stored: Sequence[StoredFrame], new: StoredFrame) -> int | None:
        if len(stored) < self.max_frames:
            return len(stored)
        return min(range(len(stored)), key=lambda slot: stored[slot].frame)


@pytest.mark.parametrize("name", mark_thorough(["aott", "aost", "xmem", "jointformer"], ["jointformer"]))
def test_a_custom_policy_is_used(name: str, frames) -> None:
    """It alone says what is stored and what makes room: a bound and a gap of the config do nothing."""
    torch.manual_seed(0)
    fields = {"enable_long_term": False} if name == "xmem" else {}
    model = build_model(name, device="cpu", **fields)
    size = {} if name.startswith("ao") else {"short_edge": -1}
    own, plain = (VideoSegmenter(model, long_term_gap=9, policy=p, **size) for p in (LatestOnly(2), None))
    for segmenter in (own, own.another()):
        segmenter.step(frames[0], mask=squares(1))
        held = []
        for frame in frames[1:5]:
            segmenter.step(frame)
            held.append(segmenter.memory_frames)
        assert held == [2, 2, 2, 2]
    assert own.settings["policy"] == "LatestOnly(max_frames=2)"
    assert "policy" not in plain.settings


def test_a_bound_of_the_config_can_be_lifted(frames) -> None:
    model = build_model("aott", device="cpu", max_memory_frames=2, long_term_gap=1)
    for bound, most in ((None, 2), ("unbounded", 5), (3, 3)):
        segmenter = VideoSegmenter(model, max_memory_frames=bound)
        for t, frame in enumerate(frames[:5]):
            segmenter.step(frame, squares(1) if t == 0 else None)
        assert segmenter.memory_frames == most


def test_a_network_in_training_mode_is_run_as_in_evaluation(frames) -> None:
    torch.manual_seed(0)
    model = build_model("aott", device="cpu")
    plain = VideoSegmenter(model)
    model.train()
    training = {m for m in model.modules() if m.training}
    other = VideoSegmenter(model)
    for t, frame in enumerate(frames[:3]):
        mask = squares(1, 2) if t == 0 else None
        assert np.array_equal(plain.step(frame, mask), other.step(frame, mask))
    assert training == {m for m in model.modules() if m.training} != set()


def test_probabilities_are_float32_whatever_the_default(aott, frames) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        assert VideoSegmenter(aott).step(frames[0], return_probs=True)[1].dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_probabilities_are_averaged_over_views(aott, frames) -> None:
    segmenter = VideoSegmenter(aott, scales=(1.0, 1.3), flip=True)
    assert len(segmenter.views) == 4
    given = squares(1, 2)
    segmenter.step(frames[0], mask=given)
    ids, probs = segmenter.step(frames[1], return_probs=True)
    parts = []
    for scale, flip in itertools.product((1.0, 1.3), (False, True)):
        single = VideoSegmenter(aott, scales=(scale,))
        turn = (lambda x: x[:, ::-1].copy()) if flip else (lambda x: x)
        single.step(turn(frames[0]), mask=turn(given))
        own = single.step(turn(frames[1]), return_probs=True)[1]
        parts.append(own.flip(2) if flip else own)
    # the flipped image is the resized image flipped, which is the flipped image resized up to rounding
    assert torch.allclose(probs, torch.stack(parts).mean(0), atol=1e-3)
    assert np.array_equal(probs.argmax(0).numpy(), ids)
    without = VideoSegmenter(aott, scales=(1.0, 1.3), flip=True)
    without.step(frames[0], mask=given)
    assert np.array_equal(without.step(frames[1]), ids)


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
@pytest.mark.parametrize("name", mark_thorough(["aott", "deaott", "swinb_deaotl"], ["swinb_deaotl"]))
def test_half_precision_agrees_with_float32(name: str, amp: str, frames) -> None:
    torch.manual_seed(0)
    model = build_model(name, device="cpu")
    full, half = VideoSegmenter(model, long_term_gap=1), VideoSegmenter(model, long_term_gap=1, amp=amp)
    for frame, mask in zip(frames[:3], [squares(1, 2), None, None], strict=True):
        p, q = (s.step(frame, mask, return_probs=True)[1] for s in (full, half))
    assert q.dtype == torch.float32
    assert (p - q).abs().max() < 0.1


def test_same_input_gives_the_same_output(aott, frames) -> None:
    runs = []
    for _ in range(2):
        segmenter = VideoSegmenter(aott)
        runs.append([segmenter.step(f, squares(1, 2) if t == 0 else None) for t, f in enumerate(frames[:4])])
    assert all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 200), (480, 40), (33, 17)])
def test_any_frame_size(aott, height: int, width: int) -> None:
    segmenter = VideoSegmenter(aott)
    frame = np.full((height, width, 3), 90, np.uint8)
    mask = np.zeros((height, width), bool)
    mask[: max(1, height // 2)] = True
    segmenter.step(frame, mask=mask)
    assert segmenter.step(frame).shape == (height, width)


def test_sizes_are_limited_on_request(aott) -> None:
    seen = []
    original = aott.encode_image
    aott.encode_image = lambda x: seen.append(tuple(x.shape[2:])) or original(x)
    try:
        frame, mask = np.zeros((240, 426, 3), np.uint8), np.ones((240, 426), np.uint8)
        for options in ({"max_long_edge": 200}, {"max_short_edge": 96}, {"short_edge": 128}, {"short_edge": -1}):
            VideoSegmenter(aott, **options).step(frame, mask=mask)
    finally:
        del aott.encode_image
    assert seen == [(113, 193), (97, 177), (129, 225), (241, 433)]


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"min_short_edge": 128}, (129, 225)),
        ({"min_short_edge": 120}, (113, 209)),  # not smaller
        ({"min_short_edge": 90}, (113, 209)),
        ({"min_short_edge": 128, "short_edge": -1}, (113, 209)),
        ({"min_short_edge": 128, "short_edge": 96}, (97, 177)),
        ({"min_short_edge": 128, "max_long_edge": 200}, (113, 193)),
    ],
)
def test_small_frames_are_enlarged_which_is_logged_once(aott, caplog, options, size) -> None:
    seen = []
    original = aott.encode_image
    aott.encode_image = lambda x: seen.append(tuple(x.shape[2:])) or original(x)
    frame, mask = np.zeros((120, 213, 3), np.uint8), np.ones((120, 213), np.uint8)
    try:
        with caplog.at_level("INFO"):
            segmenter = VideoSegmenter(aott, **options)
            for video in (segmenter, segmenter.another()):
                video.step(frame, mask=mask)
    finally:
        del aott.encode_image
    assert seen == [size] * 2
    text = "frames of 213x120 pixels are enlarged to 225x129 for the network (min_short_edge=128"
    assert caplog.text.count(text) == ("enlarged" in caplog.text) == (size == (129, 225))


@pytest.mark.parametrize(
    "frame",
    [
        lambda f: Image.fromarray(f),
        lambda f: torch.from_numpy(f),
        lambda f: torch.from_numpy(f).permute(2, 0, 1),
        lambda f: torch.from_numpy(f).permute(2, 0, 1) / 255,
    ],
    ids=["PIL", "tensor HWC", "tensor CHW", "float tensor CHW"],
)
def test_images_and_tensors_are_frames_like_arrays(aott, frames, frame) -> None:
    arrays, others = VideoSegmenter(aott), VideoSegmenter(aott)
    for segmenter in (arrays, others):
        segmenter.step(frames[0], mask=squares(1))
    (together,) = VideoSegmenter.step_together([others], [frame(frames[1])])
    assert np.array_equal(arrays.step(frames[1]), together)
    assert np.array_equal(arrays.step(frames[2]), others.step(frame(frames[2])))


@pytest.mark.parametrize("ids", [3, np.uint8(3), [3], {3}, (i for i in [3]), np.array([3]), torch.tensor([3]), "all"])
def test_one_object_or_several_are_deleted(aott, frames, ids) -> None:
    segmenter = VideoSegmenter(aott)
    segmenter.step(frames[0], mask=squares(3, 5))
    segmenter.delete_objects(segmenter.object_ids if isinstance(ids, str) else ids)
    assert segmenter.object_ids == ([] if isinstance(ids, str) else [5])


@pytest.mark.parametrize("ids", ["3", 3.0, ["3"], None, [3, 9]])
def test_deleting_unknown_ids_changes_nothing(aott, frames, ids) -> None:
    segmenter = VideoSegmenter(aott)
    segmenter.step(frames[0], mask=squares(3, 5))
    with pytest.raises(ValueError, match=r"object ids must be integers, got|there is no object 9"):
        segmenter.delete_objects(ids)
    assert segmenter.object_ids == [3, 5]


BAD_STEPS = [
    ("float frame", lambda f: (f.astype(np.float32), None), r"must be in \[0, 1\], not .*: convert values from 0 to"),
    ("transparent frame", lambda f: (np.concatenate([f, f[..., :1]], 2), None), "transparent pixels"),
    ("no array", lambda f: (f.tolist(), None), "got list"),
    ("empty frame", lambda f: (f[:0], None), r"got shape \(0, 97, 3\)"),
    ("other frame size", lambda f: (f[:-1], None), "the frame has size 64x97, earlier frames of the video 65x97"),
    ("other mask size", lambda f: (f, squares(1)[:-1]), "the mask has size 64x97, the frame 65x97"),
    ("RGB mask", lambda f: (f, f), "convert colors to ids first"),
    ("float mask", lambda f: (f, squares(1).astype(np.float32)), "integer object ids, got float32"),
    ("negative id", lambda f: (f, -squares(1)), "the mask holds -1 to 0"),
    ("id too large", lambda f: (f, squares(65536)), "the mask holds 0 to 65536"),
]


@pytest.mark.parametrize(("make", "message"), [b[1:] for b in BAD_STEPS], ids=[b[0] for b in BAD_STEPS])
def test_bad_input_is_refused_and_loses_nothing(aott, frames, make, message: str) -> None:
    segmenter, undisturbed = VideoSegmenter(aott), VideoSegmenter(aott)
    for s in (segmenter, undisturbed):
        s.step(frames[0], mask=squares(1, 2))
    with pytest.raises(ValueError, match=message) as error:
        segmenter.step(*make(frames[1]))
    assert "\n" not in str(error.value)
    assert np.array_equal(segmenter.step(frames[1]), undisturbed.step(frames[1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_longedge": 3}, "no option 'max_longedge': did you mean max_long_edge"),
        ({"encoder": "resnet50"}, "no option 'encoder'"),
        ({"amp": "fp32"}, "amp must be 'fp16', 'bf16' or None"),
        ({"scales": ()}, "one or more positive numbers"),
        ({"scales": (1.0, -1.0)}, "one or more positive numbers"),
        ({"scales": (float("inf"),)}, "one or more positive numbers"),
        ({"max_short_edge": -1}, "'max_short_edge' of AOTT must be at least 1"),
        ({"short_edge": 0}, "'short_edge' of AOTT must be in pixels, or -1 for the frame's own size"),
        ({"long_term_gap": 0}, "'long_term_gap' of AOTT must be at least 1"),
        ({"max_memory_frames": 2.5}, "'max_memory_frames' of AOTT must be"),
    ],
)
def test_bad_options_are_refused(aott, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoSegmenter(aott, **options)
