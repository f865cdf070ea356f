"""ReferFormer: numbers of the original, files, and what the network is meant to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from thorough import mark_thorough
from torch import Tensor, nn

from voskit.configs import get_model_config, list_models
from voskit.dataloaders.transforms import IMAGENET_MEAN, IMAGENET_STD
from voskit.networks import build_model, build_network, save_weights
from voskit.networks.decoders.cross_modal_fpn import _POSITIONS_AT_ONCE, VisionLanguageBlock, WordFusion
from voskit.networks.decoders.dynamic_mask_head import dynamic_masks
from voskit.networks.encoders.roberta import PAD, Text, TextProjection
from voskit.networks.layers.deformable import DeformableAttention, encoder_references, inverse_sigmoid, valid_ratio
from voskit.networks.layers.position import valid_position, word_position
from voskit.networks.models.referformer import LAYERS, ReferFormer
from voskit.networks.ops.deformable_attention import deformable_attention

MODELS = {
    "resnet50": "r50_referformer",
    "resnet101": "r101_referformer",
    "swin_t_p4w7": "swint_referformer",
    "swin_s_p4w7": "swins_referformer",
    "swin_b_p4w7": "swinb_referformer",
    "swin_l_p4w7": "swinl_referformer",
    "video_swin_t_p4w7": "vswint_referformer",
    "video_swin_s_p4w7": "vswins_referformer",
    "video_swin_b_p4w7": "vswinb_referformer",
}


@pytest.fixture(scope="module")
def model_of(referformer_weights: Callable[[str], Path]) -> Callable[[str], ReferFormer]:
    built: dict[str, ReferFormer] = {}

    def build(backbone: str) -> ReferFormer:
        if backbone not in built:
            built[backbone] = build_model(MODELS[backbone], checkpoint=referformer_weights(backbone), device="cpu")
        return built[backbone]

    return build


@pytest.fixture(scope="module")
def small() -> ReferFormer:
    """A network whose text encoder has one layer."""
    torch.manual_seed(0)
    return build_model("r50_referformer", device="cpu", text_layers=1)


@pytest.mark.parametrize("backbone", MODELS)
def test_tensor_names_and_shapes_are_the_published_ones(referformer_goldens: Path, backbone: str) -> None:
    keys = json.loads((referformer_goldens / "keys" / f"{backbone}.json").read_text())
    with torch.device("meta"):
        network = build_network(get_model_config(MODELS[backbone]))
    published = {name: shape for name, shape, _ in keys["entries"]}
    aliases = {name for name in network.ignored_tensors(published) if "bbox_embed" in name}
    assert len(aliases) == len(keys["aliases"])
    own = {k: list(v.shape) for k, v in network.state_dict().items()}
    assert own == {k: v for k, v in published.items() if k not in aliases}
    parameters = dict(network.named_parameters())
    assert sum(p.numel() for p in parameters.values()) == keys["num_parameters"]
    trained = sum(p.numel() for p in parameters.values() if p.requires_grad)
    assert trained == keys["num_trainable_freeze_text_encoder"]
    frozen = {k for k, p in parameters.items() if not p.requires_grad and not k.startswith("text_encoder.")}
    assert frozen == set(keys["always_frozen_parameters"])


def batch_of(case) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Frames, tokens, sizes and kept frames of a recorded case."""
    info = case.info
    sizes = torch.tensor(info["sizes_hw"])
    step = info["size_divisibility"]
    height, width = (-(-int(n) // step) * step for n in sizes.amax(0))
    frames = torch.zeros(info["batch"], info["frames"], height, width, 3)
    for own, values, (h, w) in zip(frames, case.frames, sizes.tolist(), strict=True):
        own[:, :h, :w] = torch.from_numpy((values / 255 - IMAGENET_MEAN) / IMAGENET_STD)
    longest = max(map(len, info["token_ids"]))
    tokens = torch.tensor([t + [PAD] * (longest - len(t)) for t in info["token_ids"]])
    kept = None if info["valid_indices"] is None else torch.tensor(info["valid_indices"])
    return frames.permute(0, 1, 4, 2, 3), tokens, sizes, kept


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", ["r50_basic", "r50_pad", "r50_odd", "r50_a2d", "vswin_t_basic", "vswin_t_long", "vswin_t_large"]
)
def test_a_recorded_case(referformer_goldens: Path, referformer_program, model_of, name: str) -> None:
    case = referformer_program("compare").Case(referformer_goldens / "goldens" / f"{name}.json")
    network = model_of(case.info["backbone"])
    frames, tokens, sizes, kept = batch_of(case)
    with torch.inference_mode():
        image, text = network.encode_image(frames, sizes, kept), network.encode_text(tokens)
        layers = network(frames, tokens, sizes, kept)
        found = network.find(image, text)
    got = {f"backbone.{i}": x for i, x in enumerate(image.maps)}
    length = image.length
    for i, padding in enumerate(image.padding):
        own = padding.repeat_interleave(length, 0)
        got |= {f"backbone_mask.{i}": own, f"pos2d.{i}": valid_position(own, 256)}
    del got["backbone_mask.4"]
    got |= {"text_words": text.words, "text_sentence": text.sentence, "text_pos": text.positions.transpose(1, 2)}
    got |= {"hs": torch.stack([d.queries for d in found.layers]), "init_reference": found.layers[0].reference}
    got |= {"inter_references": torch.stack([d.refined for d in found.layers])}
    got |= {"mask_features": found.features.flatten(0, 1)}
    got["reference_points"] = found.layers[-1].reference[..., :2].unflatten(0, (-1, length))
    for i, said in enumerate(layers):
        prefix = "" if i == LAYERS - 1 else f"aux.{i}."
        got |= {f"{prefix}pred_{key}": value for key, value in said._asdict().items()}
    got = {k: v.numpy() for k, v in got.items() if k in case.info["tensors"]}
    assert {"pred_logits", "pred_boxes", "pred_masks", "aux.0.pred_masks"} <= set(got)
    ok, lines = case.check(got, tol=2e-5)
    assert ok, "\n".join(lines)


@pytest.fixture(scope="module")
def component(referformer_goldens: Path, referformer_program):
    """Gives a recorded component: its arrays and seeded inputs, and a way to fill a module with its weights."""
    fill = referformer_program("fill")
    index = json.loads((referformer_goldens / "components" / "components.json").read_text())

    def get(name: str, module: nn.Module | None = None) -> dict[str, Tensor]:
        entry = index[name]
        with np.load(referformer_goldens / entry["file"]) as f:
            arrays = {k: torch.from_numpy(f[k]) for k in f.files}
        seeded = {k: torch.from_numpy(fill.seeded(*v)) for k, v in entry.get("seeded", {}).items()}
        if module is not None:
            module.load_state_dict(fill.fill_state_dict(module.state_dict(), entry["weights_prefix"]))
            module.eval()
        return arrays | seeded

    return get


def close(own: Tensor, recorded: Tensor, tol: float = 2e-5) -> bool:
    assert own.shape == recorded.shape
    return bool((own - recorded).abs().max() <= tol * (1 + recorded.abs().max()))


def sizes_of(x: dict[str, Tensor]) -> list[tuple[int, int]]:
    return [(int(h), int(w)) for h, w in x["spatial_shapes"]]


def test_deformable_attention_and_its_gradients(component) -> None:
    x = component("msda_core")
    inputs = [x[k].clone().requires_grad_() for k in ("value", "sampling_locations", "attention_weights")]
    out = deformable_attention(inputs[0], sizes_of(x), *inputs[1:])
    assert close(out, x["output"])
    out.backward(x["grad_output"])
    assert close(inputs[1].grad, x["grad_sampling_locations"])
    assert close(inputs[2].grad, x["grad_attention_weights"])
    assert close(inputs[0].grad.reshape(-1)[::13], x["grad_value_strided13"])


def test_deformable_attention_in_parts_is_the_same(component, monkeypatch) -> None:
    x = component("msda_core")
    monkeypatch.setattr("voskit.networks.ops.deformable_attention.MAX_SAMPLES", 1)
    with torch.inference_mode():
        out = deformable_attention(x["value"], sizes_of(x), x["sampling_locations"], x["attention_weights"])
    assert close(out, x["output"])


@pytest.mark.parametrize("dims", [2, 4])
def test_a_layer_of_deformable_attention(component, dims: int) -> None:
    module = DeformableAttention(256, 8, 4, 4)
    x = component("msda_module", module)
    references = x[f"reference_points_{dims}"]
    with torch.inference_mode():
        out = module(x["query"], references, x["input_flatten"], sizes_of(x), x["padding_mask"])
        locations, weights = module.places(x["query"], references, sizes_of(x))
    assert close(out, x[f"output_{dims}"])
    assert close(locations, x[f"sampling_locations_{dims}"])
    assert close(weights, x[f"attention_weights_{dims}"])


def text_of(x: dict[str, Tensor], padding: Tensor) -> Text:
    words = x["memory"].transpose(0, 1)
    return Text(words, words[:, 0], padding, x["pos"].transpose(0, 1))


def test_fusion_with_words(component) -> None:
    module = WordFusion(256, 8)
    x = component("vl_fusion", module)
    with torch.inference_mode():
        out = module(x["tgt"].transpose(0, 1), text_of(x, x["key_padding_mask"]))
    assert close(out.transpose(0, 1), x["output"])


@pytest.mark.parametrize(
    ("k", "subsampling", "size"), [(4, 1, (3, 5)), (3, 2, (5, 7)), (2, 4, (9, 13)), (1, 8, (18, 21))]
)
@pytest.mark.parametrize("at_once", [2**15, 50])
def test_a_block_of_the_pyramid(component, monkeypatch, k: int, subsampling: int, size, at_once: int) -> None:
    monkeypatch.setitem(_POSITIONS_AT_ONCE, "cpu", at_once)
    module = VisionLanguageBlock(256, 8, 2048, 0.1, subsampling)
    x = component(f"vl_block_{k}", module)
    tokens = [x[key].transpose(0, 1).view(2, 2, *size, 256) for key in ("tgt", "query_pos")]
    maps, positions = (t.permute(0, 1, 4, 2, 3) for t in tokens)
    padding = x["tgt_key_padding_mask"].view(2, 2, *size)
    with torch.inference_mode():
        out = module(maps, positions, padding, text_of(x, x["memory_key_padding_mask"]))
    out = out.permute(0, 1, 3, 4, 2).reshape(2, -1, 256).transpose(0, 1)
    if "output" in x:
        assert close(out, x["output"])
    else:
        assert close(out.reshape(-1)[::7], x["output_strided7"])


def test_masks_of_queries(component) -> None:
    x = component("dynamic_mask_head")
    parameters, references = (x[k].unflatten(1, (2, 3)).flatten(0, 1) for k in ("params", "reference_points"))
    sizes = x["sizes_hw"].repeat_interleave(2, 0)
    out = dynamic_masks(x["mask_features"].flatten(0, 1), parameters, references, sizes)
    assert close(out.view(2, 6, 6, 10), x["output"])


def test_positions_of_maps_and_words(component) -> None:
    x = component("position_encodings")
    valid = ~x["mask2d"][:, None].expand(-1, 256, -1, -1)
    assert close(valid_position(x["mask2d"], 256)[valid], x["out2d"][valid])
    assert close(word_position(x["mask1d"], 256).transpose(1, 2), x["out1d"])


def test_projection_of_text(component) -> None:
    module = TextProjection(256, 0.1)
    x = component("text_resizer", module)
    assert close(module(x["x"]), x["output"])


def test_text_encoder(component, model_of) -> None:
    x = component("roberta")
    with torch.inference_mode():
        out = model_of("resnet50").text_encoder(x["input_ids"], attention_mask=x["attention_mask"])
    there = x["attention_mask"].bool()
    assert close(out.last_hidden_state[there], x["last_hidden_state"][there])
    assert close(out.pooler_output, x["pooler_output"])


def test_references_of_the_encoder(component) -> None:
    x = component("encoder_reference_points")
    ratios = torch.stack([valid_ratio(x["mask0"]), valid_ratio(x["mask1"])], 1)
    assert close(ratios, x["valid_ratios"])
    sizes = [tuple(x[f"mask{i}"].shape[1:]) for i in range(2)]
    assert close(encoder_references(sizes, ratios), x["reference_points"])


def test_inverse_sigmoid(referformer_goldens: Path) -> None:
    x = json.loads((referformer_goldens / "components" / "components.json").read_text())["inverse_sigmoid"]
    assert close(inverse_sigmoid(torch.tensor(x["x"])), torch.tensor(x["y"]))


@pytest.mark.parametrize(
    "name",
    mark_thorough(
        list_models("referring"),
        set(list_models("referring")) - {"r50_referformer", "swint_referformer", "vswint_referformer"},
    ),
)
def test_every_model_runs(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, device="cpu", text_layers=1)
    with torch.inference_mode():
        layers = model(torch.randn(1, 2, 3, 50, 66), torch.tensor([[0, 102, 2335, 2]]))
    assert [tuple(x.shape) for x in layers[-1]] == [(1, 2, 5, 1), (1, 2, 5, 4), (1, 2, 5, 13, 17)]
    assert all(x.isfinite().all() for x in layers[-1])


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["r50_referformer", "swint_referformer", "vswint_referformer"])
def test_saved_weights_load_unchanged_in_referformer(name: str, tmp_path: Path) -> None:
    model = build_model(name, device="cpu", text_layers=1, window=7)
    save_weights(model, tmp_path / "own.safetensors")
    again = build_model(name, checkpoint=tmp_path / "own.safetensors", device="cpu")
    assert (again.config.text_layers, again.config.window) == (1, 7)
    assert all(torch.equal(x, again.state_dict()[k]) for k, x in model.state_dict().items())


def test_clips_of_a_batch_don_t_see_each_other(small: ReferFormer) -> None:
    frames = torch.randn(2, 3, 3, 64, 64)
    tokens = torch.tensor([[0, 5, 6, 2], [0, 7, 2, PAD]])
    with torch.inference_mode():
        both = small(frames, tokens)[-1]
        second = small(frames[1:], tokens[1:, :3])[-1]
    for a, b in zip(both, second, strict=True):
        assert torch.allclose(a[1:], b, atol=1e-4)


def test_masks_of_one_query_are_those_among_all(small: ReferFormer) -> None:
    with torch.inference_mode():
        image = small.encode_image(torch.randn(1, 2, 3, 64, 96))
        found = small.find(image, small.encode_text(torch.tensor([[0, 9, 2]])))
        assert torch.allclose(small.masks(found)[:, :, 3], small.masks(found, query=3)[:, :, 0], atol=1e-5)


def test_frames_in_parts_give_the_same(small: ReferFormer, monkeypatch) -> None:
    frames, tokens = torch.randn(1, 5, 3, 64, 64), torch.tensor([[0, 9, 2]])
    with torch.inference_mode():
        whole = small(frames, tokens)[-1]
        monkeypatch.setattr("voskit.networks.models.referformer._FRAMES_AT_ONCE", 2)
        for a, b in zip(whole, small(frames, tokens)[-1], strict=True):
            assert torch.allclose(a, b, atol=1e-4)


class TestFiles:
    def test_two_names_of_a_tensor_must_agree(self, small: ReferFormer, tmp_path: Path) -> None:
        name = "transformer.decoder.bbox_embed.2.layers.0.weight"
        state = small.state_dict() | {name: torch.zeros(256, 256)}
        torch.save({"model": state}, tmp_path / "file.pth")
        with pytest.raises(ValueError, match=f"damaged: {name} and bbox_embed.2.layers.0.weight"):
            build_model("r50_referformer", checkpoint=tmp_path / "file.pth", device="cpu")

    @pytest.mark.thorough
    def test_a_file_of_another_model_is_refused_with_its_name(self, tmp_path: Path) -> None:
        save_weights(build_model("swint_referformer", device="cpu", text_layers=1), tmp_path / "own.safetensors")
        with pytest.raises(
            ValueError,
            match=r"doesn't fit r50_referformer.*according to its metadata, it is a checkpoint of swint_referformer",
        ):
            build_model("r50_referformer", checkpoint=tmp_path / "own.safetensors", device="cpu")

    def test_a_published_file_names_the_model_that_it_fits(self, referformer_weights) -> None:
        with pytest.raises(ValueError, match=r"doesn't fit aott: .*it fits r50_referformer"):
            build_model("aott", checkpoint=referformer_weights("resnet50"), device="cpu")

    def test_other_numbers_of_queries_and_classes_are_read_off_a_file(self, tmp_path: Path) -> None:
        model = build_model("r50_referformer", device="cpu", text_layers=1, num_queries=8, num_classes=65)
        torch.save({"model": model.state_dict()}, tmp_path / "file.pth")
        config = build_model("r50_referformer", checkpoint=tmp_path / "file.pth", device="cpu").config
        assert (config.num_queries, config.num_classes, config.text_layers) == (8, 65, 1)

    def test_other_models_work_without_transformers(self, monkeypatch, tmp_path: Path) -> None:
        monkeypatch.setitem(sys.modules, "transformers", None)
        with pytest.raises(ValueError, match=r"models with text prompts need the package transformers.*\[referring\]"):
            build_model("r50_referformer", device="cpu")
        save_weights(build_model("aots", device="cpu"), tmp_path / "own.safetensors")
        state = load_file(tmp_path / "own.safetensors")
        torch.save(state, tmp_path / "file.pth")
        with pytest.raises(ValueError, match="it fits aots"):
            build_model("aott", checkpoint=tmp_path / "file.pth", device="cpu")
