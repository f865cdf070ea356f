"""Cases whose numbers are recorded in this folder: networks of every family, losses, schedules, augmentation, and more.

Each case takes seconds at most, needs no file, and returns its numbers by name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from goldens.fill import fill_network, mask_of_frame, moving_frames, tensor, uniform

Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """Numbers that are computed and compared together."""

    compute: Callable[[], Numbers]
    tolerance: float
    """Largest difference to the recorded value, as a share of 1 plus its magnitude."""


CASES: dict[str, Case] = {}


def case(tolerance: float = 1e-5) -> Callable[[Callable[[], Numbers]], Callable[[], Numbers]]:
    """Function decorator that adds a case under the function's name."""

    def add(compute: Callable[[], Numbers]) -> Callable[[], Numbers]:
        CASES[compute.__name__] = Case(compute, tolerance)
        return compute

    return add


# --- networks -------------------------------------------------------------------------------------------------------

Fill = tuple[float, Mapping[str, float]]
"""Gain, and factors by the start of a name. They are such that the memory, and not the frame alone, decides."""
IDENTITY_BANK: Fill = (1.5, {"decoder.adapter": 0.1, "patch_wise_id_bank.weight": 5.0, "encoder_projector": 0.3})
XMEM: Fill = (
    1.0,
    {
        "value_encoder.layer3.1.bn2.weight": 4.0,
        "value_encoder.conv1.weight": 10.0,
        "value_encoder.fuser.block2.conv2.weight": 60.0,
        "decoder.up_16_8.skip_conv.weight": 0.2,
        "decoder.up_8_4.skip_conv.weight": 0.2,
        "key_proj.key_proj.weight": 1.0,
    },
)
JOINT: Fill = (1.0, {"convmae.cls_token": 14.0, "convmae.pos_embed": 30.0, "decoder.pred.weight": 1.5})
NARROW = {"embed_dim": 32, "self_heads": 2, "attention_heads": 2, "window": 5}
PROBABILITY = 5e-4  # other processors and other versions of PyTorch sum in another order


def propagated(name: str, fill: Fill, fields: Mapping[str, Any], **options: Any) -> Numbers:
    """Probabilities on every 8th row and column, and areas of the objects, of the predicted frames among four.

    Frame 0 and frame 2 have masks, so no pixel near a tie, which another processor would decide otherwise, enters the
    memory of an identity bank.
    """
    from voskit.evaluators import VideoSegmenter
    from voskit.networks import build_model

    network = fill_network(build_model(name, device="cpu", **fields), *fill)
    segmenter = VideoSegmenter(network, **options)
    numbers = {}
    for t, frame in enumerate(moving_frames(4)):
        if t % 2 == 0:
            segmenter.step(frame, mask=mask_of_frame(t), complete=True)
            continue
        ids, probabilities = segmenter.step(frame, return_probs=True)
        numbers[f"probabilities {t}"] = probabilities[:, 4::8, 4::8]
        numbers[f"areas {t}"] = [(ids == i).mean() for i in segmenter.object_ids]
    return numbers


@case(PROBABILITY)
def aot() -> Numbers:
    return propagated("aots", IDENTITY_BANK, {**NARROW, "ffn_dim": 64}, long_term_gap=2)


@case(PROBABILITY)
def deaot() -> Numbers:
    return propagated("deaots", IDENTITY_BANK, NARROW, long_term_gap=2)


@case(PROBABILITY)
def aost() -> Numbers:
    return propagated("aost", IDENTITY_BANK, {**NARROW, "ffn_dim": 64, "depth": 2}, long_term_gap=2)


@case(PROBABILITY)
def aot_with_groups_of_objects() -> Numbers:
    """Three objects in banks of two identities."""
    return propagated("aott", IDENTITY_BANK, {**NARROW, "ffn_dim": 64, "max_objects": 2})


@case(PROBABILITY)
def xmem() -> Numbers:
    """Every frame enters the working memory, which is consolidated into prototypes once."""
    fields = {"key_dim": 16, "value_dim": 32, "hidden_dim": 8, "top_k": 8}
    memory = {"max_mid_term_frames": 3, "min_mid_term_frames": 2, "num_prototypes": 6}
    return propagated("xmem", XMEM, {**fields, **memory}, long_term_gap=1, short_edge=-1)


@case(PROBABILITY)
def jointformer() -> Numbers:
    fields = {"update_block_depth": 1, "enhance_block_depth": 1, "topk_num": 8}
    return propagated("jointformer", JOINT, fields, long_term_gap=1, short_edge=-1)


@case(PROBABILITY)
def referformer() -> Numbers:
    """Mask logits, boxes and scores of the objects of two text prompts."""
    from voskit.evaluators import ReferringSegmenter
    from voskit.networks import build_model

    network = fill_network(build_model("r50_referformer", device="cpu", text_layers=1))
    found = ReferringSegmenter(network, short_edge=-1).refer(list(moving_frames(2)), ["a red box", "the blue one"])
    names = ("scores", "candidate", "frame_scores", "logits", "boxes")
    return {f"{name} {i}": getattr(x, name) for i, x in enumerate(found) for name in names}


# --- training -------------------------------------------------------------------------------------------------------


class Supervised(NamedTuple):
    weight: float
    logits: Tensor


@case()
def clip_losses() -> Numbers:
    """Every loss of a batch of two clips, with ignored pixels and an absent object, at three steps."""
    from voskit.configs.stages import get_stage_config
    from voskit.trainers.losses import CLIP_LOSSES

    labels = (tensor("labels", 3, 2, 12, 10).abs() * 3).to(torch.uint8)
    labels[:, 1][labels[:, 1] == 2] = 0
    labels[1:, :, :2] = 255
    stage = get_stage_config("pre", total_steps=100)
    logits = [3 * tensor(f"logits {t}", 2, 3, 12, 10) for t in range(3)]
    aot = [[Supervised(0.75, x), Supervised(0.25, -x)] for x in logits]
    later = [[Supervised(1.0, x)] for x in logits[1:]]
    numbers = {}
    for name in CLIP_LOSSES:
        loss = CLIP_LOSSES.get(name)
        clips = aot if name == "bootstrapped_jaccard" else later
        numbers[name] = [float(loss(clips, labels, [2, 1], stage, step)) for step in (0, 20, 90)]
    return numbers


class Layer(NamedTuple):
    logits: Tensor
    boxes: Tensor
    masks: Tensor


@case()
def referring_losses() -> Numbers:
    """Costs, the match and every term of the loss of two decoder layers, for two samples of two frames."""
    from voskit.trainers.referring_losses import Target, layer_losses, match, matching_cost, referring_loss

    layers = [
        Layer(
            3 * tensor(f"logits {i}", 2, 2, 5, 1),
            0.3 + 0.2 * tensor(f"boxes {i}", 2, 2, 5, 4),
            3 * tensor(f"masks {i}", 2, 2, 5, 8, 8),
        )
        for i in range(2)
    ]
    masks = tensor("target", 2, 2, 32, 32) > 0.3
    masks[1, 1] = False
    boxes = 0.4 + 0.2 * tensor("target boxes", 2, 2, 4)
    boxes[1, 1] = 0
    target = Target(masks, boxes, torch.tensor([[True, True], [True, False]]), torch.zeros(2, dtype=torch.int64))
    matched = match(layers[0], target)
    terms = {name: float(x) for name, x in layer_losses(layers[0], target, matched, 3.0).items()}
    total = float(referring_loss(layers, target, 3.0))
    return {"cost": matching_cost(layers[0], target), "match": matched, **terms, "total": total}


@case()
def schedules() -> Numbers:
    """Learning rates of a power, a cosine in two cycles and milestones, for decoder and encoder."""
    from voskit.trainers.schedule import Schedule

    shapes: dict[str, dict[str, Any]] = {
        "power": {},
        "cosine": {"cosine": True, "cycles": 2},
        "milestones": {"milestones": (40, 80)},
    }
    numbers = {}
    for name, fields in shapes.items():
        schedule = Schedule(base=2e-4, least=1e-5, total_steps=100, **fields)
        numbers[name] = [[1e4 * schedule.lr(step, scale) for step in range(100)] for scale in (1.0, 0.1)]
    return numbers


@case()
def averaged_weights() -> Numbers:
    """The moving average after 1, 3 and 40 updates; by then the decay has reached its end."""
    from voskit.trainers.ema import AveragedWeights

    network = nn.Linear(3, 2)
    fill_network(network)
    average = AveragedWeights(network, total_steps=50)
    numbers = {}
    for update in range(1, 41):
        with torch.no_grad():
            network.weight.copy_(tensor(f"weight {update}", 2, 3))
        average.update(network)
        if update in (1, 3, 40):
            numbers[f"after {update}"] = average.weights["weight"].clone()
    return numbers


# --- data -----------------------------------------------------------------------------------------------------------


@case(1e-4)
def normalized_frames() -> Numbers:
    """A frame as a network sees it, resized in each of the three ways and not at all."""
    from voskit.dataloaders.transforms import input_size, prepare_image

    frame = moving_frames(1)[0]
    numbers: dict[str, Any] = {"plain": prepare_image(frame, (64, 96))[:, ::8, ::8]}
    for way in ("bicubic", "bilinear", "antialiased"):
        numbers[way] = prepare_image(frame, (49, 65), way)[:, 4::8, 4::8]
    sizes = [(480, 854), (1080, 1920), (65, 97), (720, 405)]
    rules: list[dict[str, Any]] = [{}, {"short_edge": 465, "max_long_edge": 800, "scale": 1.3}, {"exact": True}]
    return numbers | {"sizes": [[input_size(*size, **rule) for rule in rules] for size in sizes]}


def training_clips(stage: Any, epochs: int) -> Numbers:
    """Colors and objects of the clips that a stage draws from a still image and from a video, in a number of epochs.

    The probabilities of augmentation decide which of these numbers change: a grayscale clip has no spread of channels.
    """
    from voskit.dataloaders.training import build_training_data

    with tempfile.TemporaryDirectory() as folder:
        frames, mask = moving_frames(4), mask_of_frame()
        for t, frame in enumerate(frames):
            for name in ("Static/{}/set/one", f"YouTubeVOS/{{}}/video/{t:05d}"):
                for kind, picture in (("JPEGImages", frame), ("Annotations", mask)):
                    path = Path(folder) / f"{name.format(kind)}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(picture).save(path)
        data = build_training_data(stage, folder, crop=48, max_objects=3, augmentation="v2")
        clips = []
        for epoch in range(epochs):
            data.set_epoch(epoch)
            clips += [data[index] for index in range(len(data))]
    images, labels = (torch.stack([getattr(clip, name) for clip in clips]) for name in ("frames", "labels"))
    return {
        "mean": images.mean((3, 4)),
        "deviation": images.std((3, 4)),
        "spread": (images.amax(2) - images.amin(2)).mean((2, 3)),
        "objects": [clip.num_objects for clip in clips],
        "areas": [[(label == i).float().mean() for i in (1, 2, 3)] for clip in clips for label in clip.labels],
        "size": labels.shape,
    }


@case(1e-2)
def clips_as_aot_draws_them() -> Numbers:
    from voskit.configs.stages import get_stage_config

    stage = get_stage_config("pre", datasets=["static", "youtubevos"], clip_length=2, merge_probability=0.5)
    return training_clips(stage, epochs=30)


@case(1e-2)
def clips_as_xmem_draws_them() -> Numbers:
    from voskit.configs.stages import get_stage_config

    return training_clips(get_stage_config("s2", datasets=["static", "youtubevos"], clip_length=2), epochs=30)


# --- videos ---------------------------------------------------------------------------------------------------------


@case()
def grouping() -> Numbers:
    """Order of 24 objects of a grid, and of the objects of a mask with gaps, in groups of different sizes."""
    from voskit.networks.engines.grouping import separate_neighbors

    grid = np.arange(1, 25).reshape(4, 6).repeat(16, 0).repeat(15, 1)
    patches = mask_of_frame(0, 96, 128).astype(np.int64)
    patches[40:60, 100:128], patches[62:90, 4:30] = 11, 14
    numbers = {}
    for name, mask in (("grid", grid), ("patches", patches)):
        ids = [int(i) for i in np.unique(mask) if i]
        for size, room in ((2, 0), (4, 1), (10, 3)):
            numbers[f"{name} {size} {room}"] = separate_neighbors(torch.from_numpy(mask), ids, size, room)
    return numbers


@case()
def memory_policies() -> Numbers:
    """Frames in memory after each of 30 frames, of which three have a reference mask; -1 is an empty slot."""
    from voskit.networks.memory import EveryNthFrame, FirstAndLatest, StoredFrame

    policies = {
        "unbounded": EveryNthFrame(5),
        "four": EveryNthFrame(2, 4),
        "two": EveryNthFrame(3, 2),
        "one": EveryNthFrame(3, 1),
        "first and latest": FirstAndLatest(3, 3),
    }
    numbers = {}
    for name, policy in policies.items():
        stored: list[StoredFrame] = []
        last, rows = -1, np.full((30, 10), -1)
        for frame in range(30):
            reference = frame in (0, 9, 10)
            if reference or policy.due(frame, last):
                last, new = frame, StoredFrame(frame, reference)
                slot = policy.place(stored, new)
                if slot is not None:
                    stored[slot : slot + 1] = [new]
            rows[frame, : len(stored)] = [x.frame for x in stored]
        numbers[name] = rows
    return numbers


@case(0.01)
def overlay() -> Numbers:
    """Colors and contours over a frame, every 2nd pixel, in [0, 1]; the rim of a contour is dark."""
    from voskit.evaluators.clips.overlay import draw_overlay

    return {"image": draw_overlay(moving_frames(1)[0], mask_of_frame(), labels=False)[::2, ::2] / 255}


@case()
def region_and_boundary() -> Numbers:
    """J and F of ten objects: two groups of bit planes."""
    from voskit.evaluators.metrics.measures.bit_planes import pack_ids, tolerance
    from voskit.evaluators.metrics.measures.jaccard_boundary import boundary_of_planes, region_of_planes

    truth = (np.arange(12).reshape(3, 4).repeat(20, 0).repeat(24, 1)).astype(np.uint8)
    prediction = np.roll(truth, (2, 3), (0, 1))
    prediction[(uniform("noise", *truth.shape) > 0.9)] = 0
    planes = [pack_ids(ids, range(1, 11)) for ids in (prediction, truth)]
    numbers = {"J": region_of_planes(*planes)[:10]}
    for kind in ("plain", "compiled"):
        for radius in (tolerance(*truth.shape), 2.0):
            numbers[f"F {kind} {radius:.1f}"] = boundary_of_planes(*planes, radius, kind)[:10]
    return numbers
