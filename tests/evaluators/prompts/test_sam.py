"""SAM and SAM 2 with tiny random weights, saved and loaded as the published ones are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from packages import require
from safetensors.torch import load_file, save_file

from voskit.evaluators.prompts.base import build_prompter

require("transformers")

SIDE = 64
DECODER = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
PROMPTS = {"hidden_size": 32, "image_size": SIDE, "mask_input_channels": 4}


def save_sam(folder: Path) -> None:
    import transformers

    vision = {"hidden_size": 32, "output_channels": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.SamConfig(
        vision_config={**vision, "image_size": SIDE, "window_size": 2, "global_attn_indexes": [1], "num_pos_feats": 16},
        prompt_encoder_config=PROMPTS,
        mask_decoder_config=DECODER,
    )
    torch.manual_seed(0)
    transformers.SamModel(config).save_pretrained(folder)
    images = transformers.SamImageProcessor(size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE})
    transformers.SamProcessor(images).save_pretrained(folder)


def save_sam2(folder: Path) -> None:
    import transformers

    widths = [8, 16, 32, 64]
    backbone = {
        "hidden_size": 8,
        "image_size": [SIDE, SIDE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [1, 1, 1, 1],
        "window_size_per_stage": [4, 4, 4, 2],
        "global_attention_blocks": [3],
    }
    vision = {
        "backbone_config": transformers.Sam2HieraDetConfig(**backbone),
        "backbone_channel_list": widths[::-1],
        "backbone_feature_sizes": [[SIDE // stride, SIDE // stride] for stride in (4, 8, 16)],
        "fpn_hidden_size": 32,
    }
    config = transformers.Sam2Config(
        vision_config=transformers.Sam2VisionConfig(**vision),
        prompt_encoder_config=PROMPTS,
        mask_decoder_config=DECODER,
    )
    torch.manual_seed(0)
    transformers.Sam2Model(config).save_pretrained(folder)
    images = transformers.Sam2ImageProcessor(size={"height": SIDE, "width": SIDE})
    transformers.Sam2Processor(images).save_pretrained(folder)


@pytest.fixture(scope="module", params=["sam", "sam2"])
def weights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    {"sam": save_sam, "sam2": save_sam2}[request.param](folder)
    return request.param, folder


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (45, 80, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "prompt",
    [
        {"points": [(40, 20, True)]},
        {"points": [(40, 20, True), (3, 4, False)]},
        {"box": (10, 5, 60, 40)},
        {"points": [(3, 4, False)], "box": (10, 5, 60, 40)},
        {"mask": np.eye(45, 80) > 0},
        {"points": [(3, 4, True)], "mask": np.eye(45, 80) > 0},
    ],
    ids=["click", "clicks", "box", "box and click", "mask", "mask and click"],
)
def test_every_prompt_gives_a_mask_of_the_frames_size(
    weights: tuple[str, Path], image: np.ndarray, prompt: dict
) -> None:
    name, folder = weights
    mask = build_prompter(f"{name}:weights={folder}").segment(image, **prompt)
    assert mask.dtype == bool and mask.shape == (45, 80)


def test_logits_at_the_prompt_reach_the_place_of_the_prompt(weights: tuple[str, Path], image: np.ndarray) -> None:
    """The network is replaced by one that marks the quarter of its picture in which the box lies."""
    name, folder = weights
    prompter = build_prompter(f"{name}:weights={folder}")
    seen = {}

    def marks(**inputs: torch.Tensor) -> object:
        seen.update(inputs)
        x0, y0, x1, y1 = (inputs["input_boxes"][0, 0] / 4).round().int().tolist()
        logits = torch.full((1, 1, 1, SIDE // 4, SIDE // 4), -5.0)
        logits[..., y0:y1, x0:x1] = 5.0
        return type("Found", (), {"iou_scores": torch.ones(1, 1, 1), "pred_masks": logits})

    prompter._model.forward, embeddings = marks, prompter._model.get_image_embeddings
    mask = prompter.segment(image, box=(0, 0, 40, 22))
    y, x = np.nonzero(mask)
    assert abs(x.max() - 40) <= 3 and abs(y.max() - 22) <= 3 and x.min() == y.min() == 0
    assert seen["image_embeddings"] is not None and embeddings is not None


def test_features_are_computed_once_for_a_frame(
    weights: tuple[str, Path], image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, folder = weights
    prompter = build_prompter(f"{name}:weights={folder}")
    whole, calls = prompter._model.get_image_embeddings, []
    monkeypatch.setattr(prompter._model, "get_image_embeddings", lambda x: calls.append(1) or whole(x))
    first = prompter.segment(image, points=[(40, 20, True)])
    prompter.segment(image, box=(10, 5, 60, 40))
    assert len(calls) == 1
    prompter.segment(255 - image, points=[(40, 20, True)])
    assert len(calls) == 2
    assert np.array_equal(prompter.segment(image, points=[(40, 20, True)]), first)


def test_weights_of_another_network_are_an_error(weights: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = weights
    shutil.copytree(folder, tmp_path / "other")
    tensors = load_file(folder / "model.safetensors")
    del tensors[next(key for key in tensors if key.startswith("mask_decoder."))]
    save_file(tensors, tmp_path / "other" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=f"not weights of {name}: 1 tensors don't fit, such as mask_decoder"):
        build_prompter(f"{name}:weights={tmp_path / 'other'}")


@pytest.mark.parametrize("name", ["sam", "sam2"])
def test_missing_weights_are_a_one_line_error(name: str, tmp_path: Path) -> None:
    for place in (tmp_path, "nobody/nothing"):
        with pytest.raises(FileNotFoundError, match=r"give weights=FOLDER") as error:
            build_prompter(f"{name}:weights={place}")
        assert "\n" not in str(error.value)
