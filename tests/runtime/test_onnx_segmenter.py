"""``OnnxSegmenter``: what ``VideoSegmenter`` predicts, from exported graphs and without PyTorch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames, squares
from packages import require
from PIL import Image
from small_exports import MEMORY_FRAMES, OBJECTS, bundled_network, export_small, exported_bundled
from small_models import build_small

require("onnxscript", "onnxruntime")

from voskit.dataloaders.masks.palette import davis_palette
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.frame_checks import frame_array
from voskit.evaluators.onnx.precision import convert_to_fp16, quantize
from voskit.networks import build_model
from voskit.networks.engines.grouping import separate_neighbors
from voskit.runtime import OnnxSegmenter
from voskit.runtime import objects as runtime_objects
from voskit.runtime.inputs import mask_ids, rgb_array

MODELS: dict[str, dict[str, Any]] = {
    "swinb_deaotl": {"encoder": "mobilenetv2", "num_layers": 2, "long_term_gap": 2},  # inputs of 16 k pixels
    "aost": {"depth": 2, "long_term_gap": 1},
}
"""Narrow networks beside the bundled one, which has groups of five, neighbors apart, the likeliest positions only."""


def network(model: str) -> Any:
    torch.manual_seed(0)
    return bundled_network() if model == "deaott" else build_small(model, **MODELS[model])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of an exported model."""
    root = tmp_path_factory.mktemp("exported")

    def export(model: str) -> Path:
        if model == "deaott":
            return exported_bundled(tmp_path_factory)
        if not (root / model).exists():
            export_small(network(model), root / model, model, objects=OBJECTS, memory_frames=MEMORY_FRAMES)
        return root / model

    return export


EVENTS: dict[int, Callable[[Any], Any]] = {
    0: lambda s: squares(3, 1, 2),
    3: lambda s: squares(0, 0, 0, *range(4, 16)),  # further groups, which begin later
    5: lambda s: s.delete_objects([2]),
    6: lambda s: s.delete_objects(range(3, 11)),
    7: lambda s: s.delete_objects([1]),
    8: lambda s: squares(0, 0, 300, 0, 0, 0, 11),
}


def results(segmenter: Any, count: int = 10, stop: int | None = None) -> list[tuple[np.ndarray, np.ndarray, list[int]]]:
    """Segment a clip of ``count`` frames with masks and deletions: ids, probabilities and object ids up to ``stop``."""
    out = []
    for t, frame in enumerate(moving_frames(count)[:stop]):
        mask = EVENTS[t](segmenter) if t in EVENTS else None
        ids, probs = segmenter.step(frame, mask, complete=t == 8, return_probs=True)
        out.append((ids, np.asarray(probs), segmenter.object_ids))
    return out


@pytest.mark.parametrize("model", ["deaott", *(pytest.param(name, marks=pytest.mark.thorough) for name in MODELS)])
def test_predicts_what_pytorch_does(model: str, exported: Callable[[str], Path]) -> None:
    # with AOST's random weights, objects are equally likely, and a pixel that rounding decides changes later frames
    count = 4 if model == "aost" else 10
    expected = results(VideoSegmenter(network(model), max_memory_frames=MEMORY_FRAMES), count)
    segmenter = OnnxSegmenter(exported(model), threads=1)
    for stop in (count, 4):
        found = results(segmenter, count, stop)
        for (ids, probs, objects), (own_ids, own_probs, own_objects) in zip(expected[:stop], found, strict=True):
            assert own_objects == objects
            assert own_ids.dtype == ids.dtype and own_probs.dtype == np.float32
            assert np.abs(own_probs - probs).max() < 1e-3
            assert (own_ids == ids).mean() > 0.999
        segmenter.reset()
        assert segmenter.object_ids == [] and segmenter.memory_frames == 0


def test_predicts_what_pytorch_does_with_sensory_memory(tmp_path: Path) -> None:
    torch.manual_seed(0)
    fields = {"value_dim": 32, "hidden_dim": 8, "key_dim": 16, "enable_long_term": False, "short_edge": 48}
    model = build_model("xmem", device="cpu", mem_every=2, **fields)
    export_small(model, tmp_path, "xmem", objects=OBJECTS, memory_frames=MEMORY_FRAMES)
    segmenter = OnnxSegmenter(tmp_path, threads=1)
    shares = []
    expected = results(VideoSegmenter(model, max_memory_frames=MEMORY_FRAMES))
    for (ids, probs, objects), (own_ids, own_probs, own_objects) in zip(expected, results(segmenter), strict=True):
        assert own_objects == objects
        assert np.abs(own_probs - probs).max() < 1e-4
        best = np.sort(probs, axis=0)
        clear = best[-1] - best[-2] > 1e-4  # random weights make many objects equally likely
        assert (own_ids == ids)[clear].all()
        shares.append(clear.mean())
    assert np.mean(shares) > 0.1


@pytest.mark.parametrize(("precision", "tolerance", "agreement"), [("fp32", 1e-3, 0.999), ("fp16", 0.05, 0.99)])
def test_openvino_runs_the_same_files(
    exported: Callable[[str], Path], tmp_path: Path, precision: str, tolerance: float, agreement: float
) -> None:
    """In a process of its own, without PyTorch and its threads."""
    pytest.importorskip("openvino")
    folder = exported("deaott")
    if precision == "fp16":
        folder = shutil.copytree(folder, tmp_path / precision)
        convert_to_fp16(folder)
    np.save(tmp_path / "frames.npy", np.stack(moving_frames(6)))
    np.save(tmp_path / "masks.npy", np.stack([squares(3, 1, 2), squares(0, 0, 0, *range(4, 16))]))
    program = f"""
import numpy as np
from voskit.runtime import OnnxSegmenter

masks = np.load("masks.npy")
folder = {str(folder)!r}
ours, others = OnnxSegmenter(folder, threads=1), OnnxSegmenter(folder, threads=1, backend="openvino")
for number, frame in enumerate(np.load("frames.npy")):
    mask = {{0: masks[0], 3: masks[1]}}.get(number)
    ids, probs = ours.step(frame, mask, return_probs=True)
    own_ids, own_probs = others.step(frame, mask, return_probs=True)
    assert np.abs(own_probs - probs).max() < {tolerance}
    assert (own_ids == ids).mean() > {agreement}
    if number == 4:
        ours.delete_objects([2])
        others.delete_objects([2])
print("equal in all frames")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert "equal in all frames" in done.stdout, done.stderr


def test_a_frame_may_have_any_size(exported: Callable[[str], Path], caplog: pytest.LogCaptureFixture) -> None:
    segmenter = OnnxSegmenter(exported("deaott"))
    frames = np.random.default_rng(0).integers(0, 255, (2, 50, 31, 3), dtype=np.uint8)
    mask = np.zeros((50, 31), np.uint8)
    mask[10:30, 5:20] = 7
    assert (segmenter.step(frames[0], mask) == mask).all()
    assert "export the model with --size 50x31" in caplog.text
    ids, probs = segmenter.step(frames[1], return_probs=True, output_size=(25, 60))
    assert ids.shape == (25, 60) and probs.shape == (2, 25, 60)
    assert np.allclose(probs.sum(0), 1, atol=1e-5)


def test_frames_before_the_first_mask_leave_no_trace(exported: Callable[[str], Path]) -> None:
    frames = moving_frames(4)
    early, plain = OnnxSegmenter(exported("deaott")), OnnxSegmenter(exported("deaott"))
    ids, probs = early.step(frames[3], return_probs=True)
    assert not ids.any() and probs.shape == (1, H, W) and (probs == 1).all()
    early.step(frames[2], np.zeros((H, W), np.uint8))
    for t in range(2):
        mask = squares(1) if t == 0 else None
        assert (early.step(frames[t], mask) == plain.step(frames[t], mask)).all()


def test_a_white_mask_is_object_1(exported: Callable[[str], Path]) -> None:
    segmenter = OnnxSegmenter(exported("deaott"))
    segmenter.step(moving_frames(1)[0], ((squares(1) > 0) * 255).astype(np.uint8))
    assert segmenter.object_ids == [1]
    with pytest.raises(ValueError, match="255 next to other values"):
        segmenter.step(moving_frames(1)[0], squares(255, 2))


@pytest.mark.parametrize(("blur", "dtype"), [(3, np.uint8), (5, np.int64), (31, np.uint8)])
def test_a_mask_with_smooth_edges_is_refused(blur: int, dtype: type) -> None:
    mask = cv2.circle(np.zeros((H, W), np.uint8), (40, 30), 15, 255, -1)
    assert mask_ids(mask, (H, W), [], False)[1]
    with pytest.raises(ValueError, match="smooth edges"):
        mask_ids(cv2.GaussianBlur(mask, (blur, blur), 0).astype(dtype), (H, W), [], False)
    with_another_object = np.where(np.arange(W) > 40, mask // 255 * 3, mask)
    assert set(np.unique(mask_ids(with_another_object, (H, W), [], False)[0])) == {0, 3, 255}


def test_indices_of_a_palette_image_are_ids() -> None:
    palette_image = Image.fromarray(((squares(1) > 0) * 255).astype(np.uint8), "L").convert("P")
    palette_image.putpalette(davis_palette())
    assert set(np.unique(mask_ids(palette_image, (H, W), [], False)[0])) == {0, 255}


def test_a_mask_of_bytes_may_have_more_than_a_hundred_ids() -> None:
    ids = np.arange(1, 121, dtype=np.uint8).reshape(10, 12).repeat(9, 0).repeat(9, 1)
    assert (mask_ids(ids, ids.shape, [], False)[0] == ids).all()
    photo = np.random.default_rng(0).integers(0, 255, (H, W), dtype=np.uint8)
    with pytest.raises(ValueError, match="smooth edges"):
        mask_ids(photo, (H, W), [], False)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("I;16", (W, H)), "mode I;16"),
        (Image.new("F", (W, H)), "mode F"),
        (Image.new("RGBA", (W, H), (1, 2, 3, 0)), "transparent"),
    ],
)
def test_pictures_without_eight_bit_colors_are_refused(image: Image.Image, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rgb_array(image)
    assert rgb_array(Image.new("RGBA", (W, H), (1, 2, 3, 255)))[0, 0].tolist() == [1, 2, 3]


def test_frames_of_other_layouts_are_those_that_pytorch_takes() -> None:
    frame = moving_frames(1)[0]
    gray = frame[..., :1]
    alpha = np.full((H, W, 1), 255, np.uint8)
    rgba = np.concatenate([frame, alpha], 2)
    for other in (rgba, rgba.transpose(2, 0, 1), frame[None], rgba / 255, gray, gray.transpose(2, 0, 1)):
        assert np.array_equal(rgb_array(other), frame_array(other))
    with pytest.raises(ValueError, match="transparent"):
        rgb_array(np.concatenate([frame, alpha - 1], 2))


def test_a_memory_may_hold_fewer_positions_than_are_read(exported: Callable[[str], Path]) -> None:
    segmenter = OnnxSegmenter(exported("deaott"), max_memory_frames=1)
    assert segmenter.manifest["min_memory_frames"] == 2
    pytorch = VideoSegmenter(network("deaott"), max_memory_frames=1)
    for t, frame in enumerate(moving_frames(3)):
        mask = squares(1, 2) if t == 0 else None
        assert (segmenter.step(frame, mask) == pytorch.step(frame, mask)).mean() > 0.999
        assert segmenter.memory_frames == 1


def test_bad_input_is_an_error_and_nothing_is_remembered(exported: Callable[[str], Path]) -> None:
    segmenter = OnnxSegmenter(exported("deaott"))
    frame = moving_frames(1)[0]
    segmenter.step(frame, squares(1, 2))
    for wrong, message in [
        (lambda: segmenter.step(frame[:-1]), "call reset"),
        (lambda: segmenter.step(frame.astype(np.int32)), "uint8"),
        (lambda: segmenter.step(frame, squares(1)[:-1]), "must be equal"),
        (lambda: segmenter.step(frame, squares(1) * 0.5), "integer"),
        (lambda: segmenter.step(frame, squares(-1)), "1 to 65535"),
        (lambda: segmenter.step(frame, [[0], [0, 1]]), "rows have different lengths"),
        (lambda: segmenter.step(frame, squares(*range(1, 22))), "--objects 21"),
        (lambda: segmenter.step(frame, output_size=(0, 5)), "output_size"),
        (lambda: segmenter.delete_objects([1, 9]), "no object 9"),
        (lambda: segmenter.delete_objects("x"), "integers"),
        (lambda: OnnxSegmenter(exported("deaott"), max_memory_frames=4), "--memory_frames"),
        (lambda: OnnxSegmenter(exported("deaott"), max_memory_frames="unbounded"), "must be an integer.*'unbounded'"),
        (lambda: OnnxSegmenter(exported("deaott"), long_term_gap=0), "long_term_gap must be an integer of at least 1"),
        (lambda: OnnxSegmenter(exported("deaott"), threads="2"), "threads must be an integer.*'2'"),
        (lambda: OnnxSegmenter(exported("deaott"), providers=["NoSuchProvider"]), "NoSuchProvider"),
        (lambda: OnnxSegmenter(exported("deaott"), providers=5), "names of ONNX Runtime in a list, got 5"),
        (lambda: OnnxSegmenter(exported("deaott"), backend="tensorrt"), "onnxruntime or openvino"),
        (lambda: OnnxSegmenter(exported("deaott"), precision="bf16"), "backend='openvino'"),
        (lambda: OnnxSegmenter(exported("deaott"), backend="openvino", providers=["X"]), "leave them out"),
        (lambda: OnnxSegmenter(exported("deaott"), backend="openvino", precision="int8"), "f32, bf16 or f16"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    assert segmenter.object_ids == [1, 2] and segmenter.memory_frames == 1


def test_a_damaged_or_foreign_folder_is_an_error(exported: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"manifest.json doesn't exist"):
        OnnxSegmenter(tmp_path)
    source = exported("deaott")
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "remember.onnx").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"remember.onnx is not the file that was exported"):
        OnnxSegmenter(tmp_path)
    (tmp_path / "remember.onnx").unlink()
    with pytest.raises(FileNotFoundError, match=r"remember.onnx is missing"):
        OnnxSegmenter(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))
    with pytest.raises(ValueError, match="export the model again"):
        OnnxSegmenter(tmp_path)


def test_the_manifest_says_what_another_program_needs(exported: Callable[[str], Path]) -> None:
    manifest = json.loads((exported("deaott") / "manifest.json").read_text())
    assert manifest["identities"] == 5 and manifest["objects"] == 20
    assert manifest["input_size"] == [H, W] and manifest["memory_frames"] == MEMORY_FRAMES
    assert len(manifest["palette"]) == 768 and len(manifest["digest"]) == 64
    assert manifest["preprocessing"]["interpolation"] == "bicubic"
    assert set(manifest["graphs"]) == {"encode", "propagate", "remember", "refer", "resize"}


def test_the_graphs_take_any_number_of_groups(exported: Callable[[str], Path]) -> None:
    """One call for several groups gives what a call for each of them does."""
    import onnxruntime

    folder = exported("deaott")
    sessions = {
        name: onnxruntime.InferenceSession(str(folder / f"{name}.onnx")) for name in ("encode", "refer", "propagate")
    }
    frame = np.random.default_rng(0).normal(size=(1, 3, H, W)).astype(np.float32)
    labels = np.stack([squares(*range(g, g + 3)).clip(max=5) for g in range(1, 4)]).astype(np.int32)

    def run(name: str, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        session = sessions[name]
        out = session.run(None, {x.name: feed[x.name] for x in session.get_inputs()})
        return dict(zip([x.name for x in session.get_outputs()], out, strict=True))

    features = run("encode", {"image": frame})

    def predict(own: np.ndarray) -> np.ndarray:
        memory = run("refer", {"labels": own, **features})
        memory = {name: np.repeat(x, len(own) // len(x), 0) for name, x in memory.items()}
        long_term = {f"long_{name}": np.tile(x, (1, 2, 1)) for name, x in memory.items()}  # 64 positions are read
        valid = np.ones(long_term["long_key_0"].shape[:2], bool)
        short_term = {f"short_{name}": x for name, x in memory.items()}
        return run("propagate", {**features, **long_term, **short_term, "valid": valid})["logits"]

    together = predict(labels)
    assert len(together) == 3
    for group in range(3):
        assert np.abs(together[group] - predict(labels[group : group + 1])[0]).max() < 1e-3


def test_an_environment_without_pytorch_runs_it(exported: Callable[[str], Path], tmp_path: Path) -> None:
    np.save(tmp_path / "frames.npy", np.stack(moving_frames(3)))
    np.save(tmp_path / "mask.npy", squares(1, 2))
    program = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "PIL", "timm", "scipy", "onnx", "skimage"):
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
import numpy as np
from voskit.runtime import OnnxSegmenter

segmenter = OnnxSegmenter({str(exported("deaott"))!r})
for number, frame in enumerate(np.load("frames.npy")):
    ids = segmenter.step(frame, np.load("mask.npy") if number == 0 else None)
ours = [name for name in sys.modules if name.startswith("voskit.") and not name.startswith("voskit.runtime")]
assert not ours, ours
np.save("ids.npy", ids)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    segmenter = OnnxSegmenter(exported("deaott"))
    for number, frame in enumerate(moving_frames(3)):
        ids = segmenter.step(frame, squares(1, 2) if number == 0 else None)
    assert (np.load(tmp_path / "ids.npy") == ids).all()


def test_half_precision_and_eight_bits(exported: Callable[[str], Path], tmp_path: Path) -> None:
    frames, expected = moving_frames(4), []
    single = OnnxSegmenter(exported("deaott"))
    for t, frame in enumerate(frames):
        expected.append(single.step(frame, squares(1, 2) if t == 0 else None))
    sizes = {}
    for precision, agreement in (("fp16", 0.98), ("int8", 0.8)):
        folder = tmp_path / precision
        folder.mkdir()
        for path in exported("deaott").iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        if precision == "fp16":
            convert_to_fp16(folder)
        else:
            quantize(folder, frames, squares(1, 2))
        segmenter = OnnxSegmenter(folder)
        assert segmenter.manifest["precision"] == precision
        for t, frame in enumerate(frames):
            ids = segmenter.step(frame, squares(1, 2) if t == 0 else None)
            assert (ids == expected[t]).mean() > agreement
        sizes[precision] = (folder / "encode.onnx").stat().st_size
    whole = (exported("deaott") / "encode.onnx").stat().st_size
    assert sizes["fp16"] < 0.6 * whole and sizes["int8"] < 0.4 * whole


def test_groups_are_those_of_pytorch() -> None:
    mask = squares(*range(1, 31))
    for room in (0, 3):
        expected = separate_neighbors(torch.from_numpy(mask), list(range(1, 31)), 5, room)
        assert runtime_objects.separate_neighbors(mask, list(range(1, 31)), 5, room) == expected


def test_runtime_imports_nothing_else_of_the_package() -> None:
    import ast

    folder = Path(__file__).resolve().parents[2] / "voskit" / "runtime"
    allowed = {"numpy", "cv2", "onnxruntime", "openvino", "tokenizers", *sys.stdlib_module_names}
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.startswith("voskit.runtime") or name.partition(".")[0] in allowed, f"{path.name}: {name}"
