"""Memory over a long video: XMem's engine and memories as they are, with a small network in place of the large one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from voskit.configs import get_model_config
from voskit.evaluators import VideoSegmenter
from voskit.networks import build_model
from voskit.networks.memory_usage import memory_in_use
from voskit.networks.models.base import Network
from voskit.networks.models.xmem import ImageFeatures

H, W = 48, 64


class SmallNetwork(Network):
    """The functions that XMem's engine calls, in a few channels."""

    def __init__(self) -> None:
        fields = {"mem_every": 1, "max_long_term_elements": 300, "num_prototypes": 20, "top_k": 8}
        super().__init__(get_model_config("xmem", **fields))
        self.scale = nn.Parameter(torch.ones(()))

    def encode_image(self, image):
        x = F.avg_pool2d(image, 16) * self.scale
        return ImageFeatures([x, x, x], x, torch.ones_like(x[:, :1]), x.sigmoid())

    def encode_value(self, image, features, masks, hidden, deep_update):
        value = F.avg_pool2d(masks[:, None], 16) * 8 - 4
        return value, hidden + 1 if deep_update else hidden

    def decode(self, features, readout, hidden, update):
        return F.interpolate(readout, scale_factor=16, mode="bilinear")[:, 0], hidden


def frame(t: int) -> np.ndarray:
    return np.full((H, W, 3), t * 37 % 256, np.uint8)


def mask(*ids: int) -> np.ndarray:
    out = np.zeros((H, W), np.uint8)
    for place, i in enumerate(ids):
        out[:, place * 16 : place * 16 + 16] = i
    return out


def test_memory_is_flat() -> None:
    segmenter = VideoSegmenter(SmallNetwork(), short_edge=-1)
    segmenter.step(frame(0), mask(1, 2))
    readings, bytes_ = [], set()
    for t in range(1, 2_501):
        segmenter.step(frame(t))
        if t >= 500 and t % 250 == 0:
            readings.append(memory_in_use(torch.device("cpu")) / 2**20)
            bytes_.add(segmenter.memory_bytes)
    assert segmenter.memory_frames < 10
    assert len(bytes_) == 1
    assert readings[-1] - readings[0] < 16, readings  # MiB; masks of each frame alone would be 23


def test_objects_come_and_go_forever() -> None:
    """A new object every 20 frames, and the oldest one is deleted."""
    segmenter = VideoSegmenter(SmallNetwork(), short_edge=-1)
    segmenter.step(frame(0), mask(1, 2))
    sizes = []
    for t in range(1, 601):
        new = t // 20 + 2
        if t % 20 == 0:
            segmenter.delete_objects([segmenter.object_ids[0]])
            ids = segmenter.step(frame(t), np.roll(mask(new), 16 * (t // 20), axis=1))
            assert new in np.unique(ids)
            assert segmenter.object_ids == [new - 1, new]
        else:
            segmenter.step(frame(t))
        sizes.append(segmenter.memory_bytes)
    assert max(sizes[300:]) <= max(sizes[:300])


@pytest.mark.parametrize("name", ["aotl", "deaotl"])
def test_other_families_with_the_same_long_term_memory(name: str) -> None:
    """While the memory isn't full nothing changes; then it is bounded, also with objects that come late and go."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (9, H, W, 3), dtype=np.uint8)
    torch.manual_seed(0)
    plain = build_model(name, device="cpu", long_term_gap=1)
    own = build_model(
        name, device="cpu", long_term_gap=1, enable_long_term=True, max_mid_term_frames=4, min_mid_term_frames=2,
        num_prototypes=6, max_long_term_elements=14,
    )  # fmt: skip
    own.load_state_dict(plain.state_dict())
    one, other = VideoSegmenter(plain), VideoSegmenter(own)
    for t in range(3):
        given = mask(1, 2) if t == 0 else None
        a, b = (s.step(frames[t], given, return_probs=True)[1] for s in (one, other))
        assert torch.equal(a, b)
    for t in range(3, 9):
        late = mask(3, 4, 5)[:, ::-1] if t == 5 else None
        probs = other.step(frames[t], late, return_probs=True)[1]
        assert probs.isfinite().all()
        if t == 7:
            other.delete_objects([1, 2])
        assert other.memory_frames < 4
    elements = [part.key.shape[1] for bank in other._engines[0]._banks for part in bank.read()]
    assert max(elements) <= 14 + 4 * 5 * 5
