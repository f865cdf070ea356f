"""Whether training with sentences learns what they say: pictures of two squares, of which a sentence names one.

    python benchmarks/referring_training.py --steps 900

A ReferFormer with ResNet-50 and a text encoder of one layer, both with random weights, the latter frozen, is trained by
the project's trainer on 600 sentences about 300 pictures of 96 x 128 pixels, in the layout of RefCOCO. Every 100 steps
it is scored on 20 other pictures. A network that finds squares and doesn't listen takes the wrong one half of the time.
"""

from __future__ import annotations

from common import save  # isort: skip  (makes the project importable)

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro
from PIL import Image
from pycocotools import mask as coco

import dataloaders.training.referring_augment as augment
from configs.stages import get_stage_config
from dataloaders.training.referring_clips import build_referring_data
from evaluators import ReferringSegmenter
from networks import build_model
from trainers.trainer import Trainer, TrainerOptions

SIZE = (96, 128)
COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220)}


@dataclass(frozen=True)
class Args:
    """Whether training with sentences learns what they say."""

    steps: int = 900
    batch_size: int = 4
    rate: float = 5e-4
    pictures: int = 300
    device: str = "cpu"
    threads: int = 2
    output: Path | None = None


def picture(rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Smooth noise with two squares side by side, and the mask of each by its sentence."""
    height, width = SIZE
    coarse = rng.integers(60, 160, (height // 8, width // 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    masks = {}
    for place, name in enumerate(rng.permutation(list(COLOURS))):
        reach = int(rng.integers(12, 19))
        x = int(20 + (width - 40) * (place + rng.uniform(0.2, 0.8)) / 2)
        y = int(rng.integers(22, height - 22))
        mask = np.zeros(SIZE, np.uint8)
        mask[y - reach : y + reach + 1, x - reach : x + reach + 1] = 1
        image[mask > 0] = COLOURS[name]
        for other in masks.values():
            other[mask > 0] = 0
        masks[f"the {name} square"] = mask
    return image, masks


def write_data(root: Path, count: int) -> None:
    """RefCOCO's layout."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for folder in ("train2014", "refcoco"):
        (root / folder).mkdir()
    for number in range(count):
        image, masks = picture(rng)
        file = f"{number:05d}.jpg"
        Image.fromarray(image).save(root / "train2014" / file, quality=95)
        for sentence, mask in masks.items():
            encoded = coco.encode(np.asfortranarray(mask))
            segmentation = {"size": list(SIZE), "counts": encoded["counts"].decode()}
            entry = {"id": len(images), "file_name": file, "height": SIZE[0], "width": SIZE[1], "caption": sentence}
            annotations.append({"image_id": len(images), "segmentation": segmentation})
            images.append(entry)
    content = {"images": images, "annotations": annotations}
    (root / "refcoco" / "instances_refcoco_train.json").write_text(json.dumps(content))


def score(network: torch.nn.Module) -> float:
    """Mean IoU on 20 pictures that aren't trained on."""
    network.eval()
    segmenter = ReferringSegmenter(network, short_edge=SIZE[0])
    rng = np.random.default_rng(99)
    values = []
    for _ in range(20):
        image, masks = picture(rng)
        for found, mask in zip(segmenter.refer([image], list(masks)), masks.values(), strict=True):
            own = segmenter.mask(found.probabilities(0, SIZE))
            values.append((own & (mask > 0)).sum() / max(1, (own | (mask > 0)).sum()))
    network.train()
    return float(np.mean(values))


def main() -> None:
    args = tyro.cli(Args)
    torch.set_num_threads(args.threads)
    # pictures stay small, and their colours are what the sentences are about
    augment.SHORT_SIDES, augment.SIDES_BEFORE_CROP = (SIZE[0],), (SIZE[0],)  # type: ignore[assignment]
    augment.distort_colours = lambda frame, _: frame  # type: ignore[assignment]
    torch.manual_seed(0)
    network = build_model("r50_referformer", device=args.device, text_layers=1)
    network.backbone.requires_grad_(True)  # type: ignore[operator,union-attr]
    stage = get_stage_config(
        "refer_coco", datasets=("refcoco",), epochs=None, total_steps=args.steps, milestones=(args.steps * 7 // 9,),
        batch_size=args.batch_size, rate=args.rate, clip_norm=None, workers=0, save_every=10**6, keep=1,
    )  # fmt: skip
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder), args.pictures)
        data = build_referring_data(stage, folder)
        trainer = Trainer(network, stage, data, Path(folder) / "run", options=TrainerOptions(progress=False))
        for step in range(100, args.steps + 1, 100):
            trainer.train(until=step)
            rows.append({"step": step, "iou": score(network)})
            print(f"step {step}: IoU {rows[-1]['iou']:.3f}", flush=True)
    save("referring_training", {"rows": rows}, args.output)


if __name__ == "__main__":
    main()
