"""Exports of runs: soft edges from the probabilities, quality, and equal files after a run that broke off."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from moving_clip import H, W, moving_frames, squares
from PIL import Image
from small_models import build_small

from voskit.dataloaders.masks.files import read_mask, write_mask
from voskit.dataloaders.masks.frame_masks import masks_for
from voskit.dataloaders.video.frames import open_frames
from voskit.dataloaders.video.source import Frame
from voskit.evaluators import VideoSegmenter
from voskit.evaluators.clips import resuming
from voskit.evaluators.clips.report import ClipReport
from voskit.evaluators.clips.run import segment_clip
from voskit.evaluators.exports.frames import ExportFrame, SoftMattes
from voskit.evaluators.exports.results import export_masks

COUNT = 6
HARD = ("coco", "coco-vid", "youtube-vis", "csv", "cvat", "npz", "binary", "davis", "yolo-seg", "alpha:edges=hard")


@pytest.fixture(scope="module")
def segmenter() -> VideoSegmenter:
    torch.manual_seed(0)
    return VideoSegmenter(build_small("aott"), long_term_gap=2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    for number, frame in enumerate(moving_frames(COUNT)):
        Image.fromarray(frame).save(folder / f"{number:05d}.png")
    return folder


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    write_mask(folder / "00000.png", squares(3, 9).astype(np.uint8))
    write_mask(folder / "00003.png", squares(0, 0, 0, 20).astype(np.uint8))
    return folder


def run(segmenter: VideoSegmenter, clip: Path, masks: Path, out: Path, **options) -> ClipReport:
    with open_frames(clip) as source:
        return segment_clip(segmenter, source, masks_for(masks, source), out, progress=False, overlay=False, **options)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_soft_edges_come_from_the_probabilities(segmenter, clip, masks, tmp_path: Path) -> None:
    run(segmenter, clip, masks, tmp_path, exports=["alpha:bits=16,black=0.0,white=1.0"], max_frames=3)
    segmenter.reset()
    with open_frames(clip) as source:
        of_frames = masks_for(masks, source)
        for frame in source:
            if frame.index == 3:
                break
            _, probabilities = segmenter.step(frame.image, of_frames(frame), return_probs=True)
            for object_id, row in zip(segmenter.object_ids, probabilities[1:], strict=True):
                matte = np.array(Image.open(tmp_path / "exports" / "alpha" / str(object_id) / f"{frame.name}.png"))
                visible = row.numpy() >= 0.001
                assert np.abs(matte / 65535 - row.numpy())[visible].max() < 1e-4
                assert matte.max() > 0
    segmenter.reset()


def test_probabilities_are_computed_only_if_a_format_needs_them(segmenter, clip, masks, tmp_path, monkeypatch) -> None:
    asked = []
    step = segmenter.step
    monkeypatch.setattr(segmenter, "step", lambda *a, **o: asked.append(o.get("return_probs", False)) or step(*a, **o))
    run(segmenter, clip, masks, tmp_path, exports=["coco", "alpha:edges=hard"], max_frames=2)
    assert asked == [False, False]
    run(segmenter, clip, masks, tmp_path, exports=["alpha"], max_frames=2)
    assert asked[2:] == [True, True]


def test_quality_is_in_the_table_and_the_report(segmenter, clip, masks, tmp_path: Path) -> None:
    report = run(segmenter, clip, masks, tmp_path, exports=["csv"])
    rows = list(csv.DictReader((tmp_path / "exports" / "objects.csv").open(encoding="utf-8")))
    assert len(rows) == 3 * 2 + 3 * 3
    for row in rows:
        measures = report.measures(row["frame"])[int(row["object"])]
        assert {key: float(row[key]) for key in ("confidence", "margin")} == measures
        assert all(0 <= value <= 1 for value in measures.values())
    assert ClipReport.load(tmp_path).quality == report.quality


def test_exports_of_a_complete_run_equal_those_of_the_run(segmenter, clip, masks, tmp_path: Path, monkeypatch) -> None:
    run(segmenter, clip, masks, tmp_path / "during", exports=HARD)
    run(segmenter, clip, masks, tmp_path / "after")
    assert not (tmp_path / "after" / "exports").exists()
    monkeypatch.setattr(segmenter, "step", lambda *_, **__: pytest.fail("it was segmented again"))
    run(segmenter, clip, masks, tmp_path / "after", exports=HARD, resume=True)
    assert files(tmp_path / "after" / "exports") == files(tmp_path / "during" / "exports")
    report = ClipReport.load(tmp_path / "after")
    measures = {name: report.measures(name) for name in report.quality}
    paths = export_masks(clip, tmp_path / "after" / "masks", tmp_path / "python", HARD, names={}, quality=measures)
    assert files(tmp_path / "python") == files(tmp_path / "during" / "exports")
    assert all(path.exists() for path in paths)
    with pytest.raises(ValueError, match=r"soft edges of alpha need the network's probabilities.*edges=hard"):
        run(segmenter, clip, masks, tmp_path / "after", exports=["alpha"], resume=True)


def broken_off(segmenter, clip, masks, out: Path, monkeypatch, exports) -> None:
    """Run until frame 4, as after Ctrl-C, with a checkpoint of every frame."""
    monkeypatch.setattr(resuming, "_SECONDS", 0)
    monkeypatch.setattr(resuming, "_SHARE", 1e9)
    step, frames = segmenter.step, []

    def stopped(*args, **options):
        frames.append(0)
        if len(frames) == 5:
            raise KeyboardInterrupt
        return step(*args, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(segmenter, "step", stopped)
        run(segmenter, clip, masks, out, exports=exports)


def test_exports_of_a_resumed_run_equal_those_of_an_uninterrupted_one(
    segmenter, clip, masks, tmp_path, monkeypatch
) -> None:
    run(segmenter, clip, masks, tmp_path / "undisturbed", exports=HARD)
    broken_off(segmenter, clip, masks, tmp_path / "resumed", monkeypatch, HARD)
    left = {path.name for path in (tmp_path / "resumed" / "exports").iterdir()}
    assert {"coco.incomplete.json", "objects.incomplete.csv", "davis.incomplete.zip", "binary", "alpha"} <= left
    with pytest.raises(ValueError, match="soft edges of rgba"):
        run(segmenter, clip, masks, tmp_path / "resumed", exports=["rgba"], resume=True)
    run(segmenter, clip, masks, tmp_path / "resumed", exports=HARD, resume=True)
    assert files(tmp_path / "resumed" / "exports") == files(tmp_path / "undisturbed" / "exports")


def test_a_run_replaces_the_exports_of_an_earlier_one(segmenter, clip, masks, tmp_path: Path) -> None:
    run(segmenter, clip, masks, tmp_path, exports=["coco", "binary"])
    (tmp_path / "exports" / "notes.txt").write_text("mine")
    run(segmenter, clip, masks, tmp_path, exports=["csv"], max_frames=2)
    assert {path.name for path in (tmp_path / "exports").iterdir()} == {"objects.csv", "notes.txt"}


def test_a_failing_format_does_not_affect_the_others(segmenter, clip, masks, tmp_path, monkeypatch, caplog) -> None:
    from voskit.evaluators.exports.coco import CocoExport

    def full_disk(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CocoExport, "write", full_disk)
    with pytest.raises(ValueError, match=r"some exports failed.*: coco\.json"):
        run(segmenter, clip, masks, tmp_path, exports=["coco", "csv"])
    assert "coco.json can't be written: [Errno 28] No space left on device" in caplog.text
    assert ClipReport.load(tmp_path).complete
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["objects.csv"]
    assert len(list((tmp_path / "masks").iterdir())) == COUNT


def test_objects_of_the_backward_pass_have_hard_edges(segmenter, clip, masks, tmp_path: Path) -> None:
    run(segmenter, clip, masks, tmp_path, exports=["alpha", "png"], backwards=True)
    for number in range(3):  # object 20 has its first mask in frame 3
        matte = np.array(Image.open(tmp_path / "exports" / "alpha" / "20" / f"{number:05d}.png"))
        ids = np.array(Image.open(tmp_path / "exports" / "png" / f"{number:05d}.png"))
        assert set(np.unique(matte)) <= {0, 255}
        assert np.array_equal(matte > 0, ids == 20)


def test_changed_pixels_of_a_matte_belong_only_to_their_object() -> None:
    probabilities = torch.tensor([[[0.2, 0.5]], [[0.7, 0.3]], [[0.1, 0.2]]])
    ids = np.array([[1, 9]], np.uint8)
    changed = np.array([[False, True]])
    mattes = SoftMattes.of(probabilities, [1, 2], ids, changed)
    frame = ExportFrame(Frame(0, "0", np.zeros((1, 2, 3), np.uint8)), ids, "0.jpg", mattes)

    def matte(object_id: int) -> list[int]:
        region = frame.matte(object_id)
        return region.paste(np.zeros((1, 2), np.uint16))[0].tolist()

    assert matte(1) == [round(0.7 * 65535), 0]
    assert matte(2) == [round(0.1 * 65535), 0]
    assert matte(9) == [0, 65535]
    assert frame.matte_together()[0].tolist() == [65535 - round(0.2 * 65535), 65535]


def test_masks_that_end_before_the_clip_are_exported_to_their_end(clip: Path, masks: Path, tmp_path: Path) -> None:
    (path,) = export_masks(clip, masks, tmp_path, ["npz"])
    with np.load(path) as data:
        assert data["frames"].tolist() == ["00000", "00001", "00002", "00003"]
        assert not data["masks/00001"].any()


def test_a_function_gives_masks_of_a_source(clip: Path, tmp_path: Path) -> None:
    with open_frames(clip) as source:
        (path,) = export_masks(source, lambda frame: np.full((H, W), frame.index), tmp_path, ["npz"])
        with pytest.raises(ValueError, match=r"the mask of frame 00000 has shape \(2, 2\)"):
            export_masks(source, lambda _: np.zeros((2, 2), np.uint8), tmp_path, ["npz"])
        with pytest.raises(ValueError, match="the mask of frame 00000 must hold integer object ids, not float64"):
            export_masks(source, lambda _: np.full((H, W), 0.7), tmp_path / "wrong", ["npz"])
        with pytest.raises(ValueError, match="the mask of frame 00000 must hold ids from 0 to 65535, not -1 to -1"):
            export_masks(source, lambda _: np.full((H, W), -1), tmp_path / "wrong", ["npz"])
    with pytest.raises(ValueError, match=r"exports must be a list of formats, such as \['npz'\]"):
        export_masks(clip, lambda _: None, tmp_path, "npz")
    with np.load(path) as data:
        assert [int(data[f"masks/{name}"].max()) for name in data["frames"]] == list(range(COUNT))


def test_a_function_may_return_one_buffer_each_time(clip: Path, tmp_path: Path) -> None:
    buffer = np.zeros((H, W), np.uint8)

    def mask_of(frame: Frame) -> np.ndarray:
        buffer[:] = frame.index + 1
        return buffer

    (folder,) = export_masks(clip, mask_of, tmp_path, ["png"])
    found = [np.unique(read_mask(path)).tolist() for path in sorted(folder.iterdir())]
    assert found == [[number + 1] for number in range(len(found))]


def test_masks_may_be_tensors_or_pil_images_and_names_are_by_id(clip: Path, tmp_path: Path) -> None:
    ids = np.zeros((H, W), np.uint8)
    ids[2:9, 3:8] = 7
    for form in (torch.from_numpy, Image.fromarray):
        (path,) = export_masks(clip, lambda _, form=form: form(ids), tmp_path, ["png"])
        assert all(np.array_equal(read_mask(file), ids) for file in path.iterdir())
    for names in (["cat"], {"7": "cat"}):
        with pytest.raises(ValueError, match=r"names must map ids to names, such as \{1: 'cat'\}, not "):
            export_masks(clip, lambda _: ids, tmp_path, ["png"], names=names)


def test_hard_edges_stay_hard_next_to_soft_ones(segmenter: VideoSegmenter, clip: Path, masks: Path, tmp_path) -> None:
    exports = ("alpha", "rgba:edges=hard", "binary")
    with open_frames(clip) as source:
        segment_clip(segmenter, source, masks_for(masks, source), tmp_path, exports=exports, progress=False)

    def levels(name: str, channel: int | None) -> set[int]:
        pixels = (np.array(Image.open(path)) for path in (tmp_path / "exports" / name).glob("*/*.png"))
        return set().union(*(np.unique(each if channel is None else each[..., channel]).tolist() for each in pixels))

    assert len(levels("alpha", None)) > 10
    assert levels("rgba", 3) == {0, 255}
    assert sorted(path.name for path in (tmp_path / "exports/binary").iterdir()) == sorted(
        path.name for path in (tmp_path / "exports/rgba").iterdir()
    )
