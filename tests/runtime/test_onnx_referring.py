"""``OnnxReferringSegmenter``: what ``ReferringSegmenter`` predicts, from an exported graph and without PyTorch."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames
from packages import require
from PIL import Image
from small_exports import export_small
from torch import Tensor, nn

require("onnxscript", "onnxruntime")

from voskit.evaluators import ReferringSegmenter
from voskit.evaluators.onnx.export import export_onnx
from voskit.evaluators.onnx.precision import convert_to_fp16
from voskit.networks import build_model
from voskit.networks.encoders import PYRAMIDS
from voskit.networks.encoders.base import Encoder
from voskit.networks.encoders.roberta import Text
from voskit.networks.encoders.video_swin import VideoSwin
from voskit.networks.export.graphs import Calls
from voskit.networks.layers.deformable import Decoded, refine
from voskit.networks.models.referformer import Candidates, ImageFeatures, ReferFormer
from voskit.runtime import OnnxReferringSegmenter, OnnxSegmenter
from voskit.runtime.images import resize_antialiased

PROMPTS = ["a red square", "the other one, which moves to the left"]
TOKENS = [0, 102, 1275, 3925, 2]  # the first prompt's


class TinyEncoder(Encoder):
    """One convolution for each map."""

    channels = (8, 8, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.ModuleList([nn.Conv2d(3, 8, 4, 4), *(nn.Conv2d(8, 8, 3, 2, 1) for _ in range(3))])

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        maps = [image_B3HW]
        for convolution in self.maps:
            maps.append(convolution(maps[-1]).tanh())
        return maps[1:]

    def stages(self) -> list[list[nn.Module]]:
        return [[part] for part in self.maps]


class ShortNetwork(ReferFormer):
    """A network whose candidates come without transformers, which take a minute to export."""

    def find(self, image: ImageFeatures, text: Text) -> Candidates:
        features_TCHW = self.pixel_decoder.get_submodule("adapter_1")(image.maps[0])
        queries_TQC = self.query_embed.weight + text.sentence[:, None] + features_TCHW.mean((2, 3))[:, None]
        reference = self.transformer.reference_points(queries_TQC).sigmoid()
        refined = refine(self.bbox_embed[0](queries_TQC), reference)
        return Candidates([Decoded(queries_TQC, reference, refined)], features_TCHW[None], image.sizes)


def build(name: str, **fields: Any) -> Any:
    """Build a network with random weights whose masks aren't saturated: else both objects are equally likely."""
    torch.manual_seed(0)
    model = build_model(name, device="cpu", window=3, **fields)
    with torch.no_grad():
        for parameter in model.controller.layers[-1].parameters():
            parameter.mul_(0.3)
    return model


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    """A network with a tiny image encoder, and one layer of each transformer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PYRAMIDS, "_entries", dict(PYRAMIDS._entries))
        PYRAMIDS.register("tiny")(lambda norm, drop_path: TinyEncoder())
        patch.setattr("voskit.networks.models.referformer.LAYERS", 1)
        yield build("r50_referformer", encoder="tiny", text_layers=1, short_edge=48)


@pytest.fixture(scope="module")
def short(model: Any) -> Any:
    short = copy.copy(model)
    short.__class__ = ShortNetwork
    return short


@pytest.fixture(scope="module")
def exported(short: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an export."""
    folder = tmp_path_factory.mktemp("exported")
    export_small(short, folder, "short")
    return folder


@pytest.fixture(scope="module")
def segmenter(exported: Path) -> OnnxReferringSegmenter:
    return OnnxReferringSegmenter(exported, threads=1)


def check_equal(model: Any, own: OnnxReferringSegmenter, frames: list[np.ndarray]) -> None:
    """Check windows of 3 frames, the last of which is shorter."""
    theirs = ReferringSegmenter(model)
    for part in (frames[:3], frames[3:]):
        for found, expected in zip(own.refer(part, PROMPTS), theirs.refer(part, PROMPTS), strict=True):
            assert found.candidate == expected.candidate
            assert np.abs(found.scores - expected.scores.numpy()).max() < 1e-4
            assert np.abs(found.frame_scores - expected.frame_scores.numpy()).max() < 1e-4
            assert np.abs(found.boxes - expected.boxes.numpy()).max() < 1e-4
            for t in range(len(part)):
                probabilities = found.probabilities(t, (H, W))
                assert probabilities.shape == (H, W) and probabilities.dtype == np.float32
                assert np.abs(probabilities - expected.probabilities(t, (H, W)).numpy()).max() < 1e-3
    masks = list(own.segment(iter(frames), PROMPTS))
    expected_masks = list(theirs.segment(iter(frames), PROMPTS))
    assert len(masks) == len(frames) and masks[0].dtype == np.uint8
    assert np.mean([(a == b).mean() for a, b in zip(masks, expected_masks, strict=True)]) > 0.999


def test_predicts_what_pytorch_does(short: Any, segmenter: OnnxReferringSegmenter) -> None:
    frames = moving_frames(5)
    check_equal(short, segmenter, frames)
    assert any(mask.any() for mask in segmenter.segment(iter(frames), PROMPTS))


def test_the_export_form_computes_the_same(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, tokens = torch.randn(1, 3, 3, 48, 66), torch.tensor([TOKENS])
    with torch.inference_mode():
        expected = model(frames, tokens)[-1]
        monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
        for found, value in zip(model(frames, tokens)[-1], expected, strict=True):
            assert torch.allclose(found, value, atol=1e-4)


@pytest.mark.thorough
def test_a_network_with_transformers_predicts_what_pytorch_does(model: Any, tmp_path: Path) -> None:
    export_onnx(model, tmp_path, name="tiny", size=(H, W))
    check_equal(model, OnnxReferringSegmenter(tmp_path, threads=1), moving_frames(5))


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["r50_referformer", "swint_referformer", "vswint_referformer"])
def test_a_model_of_the_zoo_predicts_what_pytorch_does(name: str, tmp_path: Path) -> None:
    model = build(name, text_layers=2, short_edge=64)
    export_onnx(model, tmp_path, name=name, size=(H, W))
    check_equal(model, OnnxReferringSegmenter(tmp_path, threads=1), moving_frames(5))


@pytest.mark.thorough
def test_a_video_encoder_takes_windows_of_up_to_eight_frames(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = VideoSwin(12, (2, 2, 2, 2), (3, 3, 3, 3)).eval()
    calls = Calls(cast(Any, encoder), lambda frames: tuple(encoder(frames[0], frames.shape[1])))
    exported = torch.export.export(
        calls,
        (torch.randn(1, 3, 3, 65, 97),),
        dynamic_shapes=(({1: torch.export.Dim("frames", max=VideoSwin.temporal_window)},),),
    )
    for count in (1, 2, VideoSwin.temporal_window):
        frames = torch.randn(1, count, 3, 65, 97)
        for found, expected in zip(exported.module()(frames), calls(frames), strict=True):
            assert torch.allclose(found, expected, atol=1e-5)


def test_the_manifest_says_what_another_program_needs(exported: Path) -> None:
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["image_size"] == [48, 48 * W // H] and manifest["frame_size"] == [H, W]
    assert manifest["preprocessing"]["interpolation"] == "antialiased"
    assert (manifest["window"], manifest["candidates"]) == (3, 5)
    assert list(manifest["graphs"]) == ["window"]
    assert manifest["tokens"]["start"] == 0 and manifest["tokens"]["end"] == 2
    assert {path.name for path in exported.iterdir()} == {"window.onnx", "manifest.json", "vocab.json", "merges.txt"}


def test_prompts_are_texts_or_tokens(segmenter: OnnxReferringSegmenter) -> None:
    frames = moving_frames(2)
    by_text, by_tokens, padded = segmenter.refer(frames, [PROMPTS[0], TOKENS, [*TOKENS, 1, 1]])
    assert (by_text.logits == by_tokens.logits).all()
    assert np.abs(by_text.logits - padded.logits).max() < 1e-4
    (mask,) = segmenter.segment(frames[:1], [np.array(TOKENS)], output_size=(20, 30))
    assert mask.shape == (20, 30)


def test_bad_input_is_an_error(segmenter: OnnxReferringSegmenter, exported: Path) -> None:
    frames = moving_frames(2)
    cases: list[tuple[Any, Any, str]] = [
        ([], PROMPTS, "there are no frames"),
        ([frames[0], frames[1][1:]], PROMPTS, "frame 1 of a window has size"),
        (frames, "a dog", "prompts must be a list"),
        (frames, [], "prompts must be a list"),
        (frames, [" "], "must describe the object in words"),
        (frames, [3.5], "a text or a sequence of token ids"),
        (frames, [[0, 60000, 2]], "token ids must be 0 to 50264"),
        (frames, ["dog " * 600], "the limit is 512"),
    ]
    for images, prompts, message in cases:
        with pytest.raises(ValueError, match=message):
            segmenter.refer(images, prompts)
    with pytest.raises(ValueError, match="there are no frames"):
        list(segmenter.segment([], PROMPTS))
    with pytest.raises(ValueError, match="at most 255"):
        list(segmenter.segment(frames, ["a dog"] * 256))
    with pytest.raises(ValueError, match="prompts must be a list"):
        next(segmenter.segment(frames, "a dog " * 50))
    for size in ((0, 5), (20.5, 30), 20):
        with pytest.raises(ValueError, match=r"output_size must be \(height, width\) in pixels or None, got"):
            next(segmenter.segment(frames, PROMPTS, output_size=size))  # type: ignore[arg-type]
    for window in (0, 2.5, "3"):
        with pytest.raises(ValueError, match=f"window must be an integer of at least 1, got {window!r}"):
            OnnxReferringSegmenter(exported, window=window)  # type: ignore[arg-type]


def test_folders_and_segmenters_belong_together(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"takes no masks: OnnxSegmenter runs aot.* OnnxReferringSegmenter"):
        OnnxSegmenter(exported)
    manifest = json.loads((exported / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "family": "aot"}))
    with pytest.raises(ValueError, match="half precision is too coarse"):
        convert_to_fp16(exported)
    with pytest.raises(ValueError, match="takes no text prompts: use OnnxSegmenter"):
        OnnxReferringSegmenter(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FileNotFoundError, match=r"window.onnx is missing"):
        OnnxReferringSegmenter(tmp_path)
    (tmp_path / "window.onnx").symlink_to(exported / "window.onnx")
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(ValueError, match=r"vocab.json is not the file that was exported"):
        OnnxReferringSegmenter(tmp_path).refer(moving_frames(1), PROMPTS)


def test_an_environment_without_pytorch_runs_it(
    segmenter: OnnxReferringSegmenter, exported: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "frames.npy", np.stack(moving_frames(2)))
    program = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "PIL", "transformers", "tokenizers", "onnx"):
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
import numpy as np
from voskit.runtime import OnnxReferringSegmenter

segmenter = OnnxReferringSegmenter({str(exported)!r})
np.save("ids.npy", list(segmenter.segment(np.load("frames.npy"), [{TOKENS}])))
try:
    list(segmenter.segment(np.load("frames.npy"), ["a dog"]))
except ValueError as error:
    assert "need the package tokenizers" in str(error), error
else:
    raise AssertionError("no error")
ours = [name for name in sys.modules if name.startswith("voskit.") and not name.startswith("voskit.runtime")]
assert not ours, ours
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    expected = list(segmenter.segment(moving_frames(2), PROMPTS[:1]))
    assert (np.load(tmp_path / "ids.npy") == expected).all()


@pytest.mark.parametrize("size", [(24, 31), (50, 37), (120, 160), (47, 97), (1, 1)])
def test_antialiased_frames_are_those_of_pillow(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 97, 3), dtype=np.uint8)
    expected = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    assert (resize_antialiased(image, size) == np.asarray(expected)).all()
