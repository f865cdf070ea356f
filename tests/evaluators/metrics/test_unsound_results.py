"""Invalid results and options: one line that names them, and a non-zero exit code."""

from __future__ import annotations

import functools
import json
import operator
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from voskit.evaluators.metrics import score

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def davis(goldens: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return the miniature of DAVIS and a copy of its results that may be changed."""
    results = tmp_path / "results"
    shutil.copytree(goldens / "davis2017" / "results" / "semi", results, copy_function=shutil.copyfile)
    for folder in (results, *results.iterdir()):
        folder.chmod(0o755)
    return goldens / "davis2017", results


def change(file: Path, edit: Callable[[np.ndarray], np.ndarray], mode: str | None = None) -> None:
    image = Image.open(file)
    changed = Image.fromarray(edit(np.array(image)))
    if image.mode == "P":
        changed.putpalette(image.getpalette())
    (changed.convert(mode) if mode else changed).save(file)


def pixel(value: int) -> Callable[[np.ndarray], np.ndarray]:
    def edit(ids: np.ndarray) -> np.ndarray:
        ids[0, 0] = value
        return ids

    return edit


def nothing(ids: np.ndarray) -> np.ndarray:
    return np.zeros_like(ids)


def every_frame(results: Path, edit: Callable[[np.ndarray], np.ndarray]) -> None:
    for file in results.glob("*/*.png"):
        change(file, edit)


CHANGES: dict[str, Callable[[Path], Any]] = {
    "id above the objects": lambda r: change(r / "alder/00003.png", pixel(4)),
    "id above the objects, in the first frame": lambda r: change(r / "alder/00000.png", pixel(4)),
    "void in the prediction": lambda r: change(r / "alder/00003.png", pixel(255)),
    "a frame is missing": lambda r: (r / "alder/00004.png").unlink(),
    "first and last frames missing": lambda r: [(r / f"alder/{n}.png").unlink() for n in ("00000", "00009")],
    "colour png": lambda r: change(r / "alder/00004.png", lambda ids: ids, "RGB"),
    "other size": lambda r: change(r / "alder/00004.png", lambda ids: ids[:-1]),
    "every frame of another size": lambda r: [change(f, lambda ids: ids[:-1]) for f in (r / "alder").iterdir()],
    "grey png": lambda r: Image.fromarray(np.array(Image.open(r / "alder/00004.png"))).save(r / "alder/00004.png"),
    "all predictions empty": lambda r: every_frame(r, nothing),
    "an additional file": lambda r: shutil.copyfile(r / "alder/00004.png", r / "alder/00099.png"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_results_that_the_davis_tool_refuses_are_refused(
    name: str, davis: tuple[Path, Path], differences: Callable[[Any, Any], list[Any]], run_score: Run, tmp_path: Path
) -> None:
    root, results = davis
    one_sequence = tmp_path / "DAVIS"  # the published verdicts are for this sequence only
    (one_sequence / "ImageSets" / "2017").mkdir(parents=True)
    (one_sequence / "ImageSets" / "2017" / "val.txt").write_text("alder\n")
    (one_sequence / "Annotations").symlink_to(root / "Annotations")
    cases = json.loads((root / "expected_semi.json").read_text())["unsound_results"]
    case = next(case for case in cases if case["case"] == name)
    CHANGES[name](results)
    output = tmp_path / "scores.json"
    code, errors = run_score(
        "--dataset", "davis2017", "--data_root", one_sequence, "--results", results, "--output", output
    )
    if case["outcome"] == "scored":
        assert code == 0
        assert differences(case["global"], json.loads(output.read_text())["global"]) == []
    else:
        assert code == 1
        assert errors.strip().count("\n") == 0
        assert "alder/0000" in errors
        assert not output.exists()


@pytest.mark.parametrize("cut", [0, 40, 200])
def test_damaged_png(davis: tuple[Path, Path], cut: int) -> None:
    root, results = davis
    file = results / "alder" / "00002.png"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"alder/00002\.png"):
        score("davis2017", root, results, num_workers=2)


def test_one_flipped_bit_is_noticed(davis: tuple[Path, Path]) -> None:
    root, results = davis
    file = results / "alder" / "00002.png"
    data = bytearray(file.read_bytes())
    at = data.index(b"IDAT") + 20
    data[at] ^= 4
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"alder/00002\.png: the image is truncated or damaged"):
        score("davis2017", root, results, num_workers=1)


def test_missing_folder_and_list(davis: tuple[Path, Path]) -> None:
    root, results = davis
    with pytest.raises(FileNotFoundError, match=r"nothing\.txt: no such list of sequences; lists in this folder: val"):
        score("davis2017", root, results, split="nothing")
    shutil.rmtree(results / "birch")
    with pytest.raises(FileNotFoundError, match=r"birch: this folder of the results is missing"):
        score("davis2017", root, results)


def test_too_many_proposals(goldens: Path, tmp_path: Path) -> None:
    results = tmp_path / "unsup"
    shutil.copytree(goldens / "davis2017" / "results" / "unsup", results, copy_function=shutil.copyfile)
    change(results / "cedar" / "00001.png", pixel(21))
    with pytest.raises(ValueError, match=r"cedar/00001\.png: id 21 is above 20, the highest id"):
        score("davis2017_unsupervised", goldens / "davis2017", results)


def test_unknown_names_and_values_list_the_choices(goldens: Path, run_score: Run) -> None:
    davis = ("--data_root", goldens / "davis2017", "--results", goldens / "davis2017" / "results" / "semi")
    code, errors = run_score("--dataset", "davis2018", *davis)
    assert code == 1 and "did you mean davis2017" in errors
    code, errors = run_score("--dataset", "davis2017", *davis, "--reading", "afburr")
    assert code == 1 and "its options: --split, --resolution" in errors
    code, errors = run_score("--dataset", "davis2017", *davis, "--resolution", "240p")
    assert code == 1 and "480p, Full-Resolution" in errors
    code, errors = run_score("--dataset", "longvideo", *davis, "--reading", "mine")
    assert code == 1 and "davis, afburr" in errors
    code, errors = run_score("--dataset", "davis2017", *davis, "--output", "scores.txt")
    assert code == 1 and ".json" in errors


def test_broken_json(goldens: Path, tmp_path: Path) -> None:
    (tmp_path / "pred.json").write_text("{")
    with pytest.raises(ValueError, match=r"pred\.json: not a JSON file"):
        score("vipseg", goldens / "vipseg", tmp_path)
    (tmp_path / "pred.json").write_text("{}")
    with pytest.raises(ValueError, match=r"pred\.json: must be a JSON object with annotations"):
        score("vipseg", goldens / "vipseg", tmp_path)


def fields(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places of all values in a JSON file; of lists, the first entry stands for all."""
    if place:
        yield place
    inner = (
        content.items() if isinstance(content, dict) else enumerate(content[:1]) if isinstance(content, list) else ()
    )
    for key, value in inner:
        yield from fields(value, (*place, key))


_BURST_UNUSED = {"width", "height", "id", "fps", "all_image_paths", "neg_category_ids", "not_exhaustive_category_ids"}


@pytest.mark.parametrize(
    ("dataset", "file", "unused"),
    [
        ("burst", "exemplar_guided.json", {*_BURST_UNUSED, "categories", "split"}),
        ("vipseg", "pred.json", {"image_id", "file_name", "isthing", "area"}),
    ],
)
def test_a_null_in_json_results_is_reported(
    goldens: Path, tmp_path: Path, dataset: str, file: str, unused: set
) -> None:
    shutil.copytree(goldens / dataset / "results", tmp_path, copy_function=shutil.copyfile, dirs_exist_ok=True)
    path, text = tmp_path / file, (tmp_path / file).read_text()
    places = [place for place in fields(json.loads(text)) if not unused & set(place)]
    assert len(places) > 5
    for place in places:
        content = json.loads(text)
        functools.reduce(operator.getitem, place[:-1], content)[place[-1]] = None
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=re.escape(file)):
            score(dataset, goldens / dataset, path if dataset == "burst" else tmp_path)


def test_an_unlisted_panoptic_id_is_refused(goldens: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(goldens / "vipseg" / "results", results, copy_function=shutil.copyfile)
    file = next((results / "pan_pred").glob("*/*.png"))
    change(file, pixel(77))
    with pytest.raises(ValueError, match=rf"{file.name}: id \d+ isn't listed"):
        score("vipseg", goldens / "vipseg", results)


def test_missing_frame_of_an_expression_but_not_a_missing_video(goldens: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    source = goldens / "refytvos" / "results" / "Annotations"
    shutil.copytree(source, results, copy_function=shutil.copyfile)
    whole = score("refytvos", goldens / "refytvos", results).tables["global"]["J"]
    shutil.rmtree(results / "1f3a77d0c2")
    rows = score("refytvos", goldens / "refytvos", results).tables
    assert rows["per_expression"]["1f3a77d0c2/0"]["J"] == 0
    assert rows["global"]["J"] < whole
    (results / "90be4d2217" / "0" / "00005.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"90be4d2217/0/00005\.png"):
        score("refytvos", goldens / "refytvos", results)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entry: entry.pop("score"), "must be an object with image_id, category_id, segmentation, score"),
        (lambda entry: entry.update(score=None), "the score must be a finite number, not None"),
        (lambda entry: entry.update(image_id=[]), "image_id and category_id must be integers or strings"),
        (lambda entry: entry.update(segmentation=[[1, 1, 9, 1, 9, 9]]), "must be a compressed run-length encoding"),
        (
            lambda entry: entry["segmentation"].update(counts="???"),
            "the run-length encoding covers 45 of 8x8 = 64 pixels",
        ),
        (lambda entry: entry["segmentation"].update(size=[4]), "the size must be two positive integers"),
    ],
)
def test_predictions_for_unknown_expressions_are_refused(tmp_path: Path, change, message: str) -> None:
    encoding = coco.encode(np.asfortranarray(np.eye(8, dtype=np.uint8)))
    entry = {"size": encoding["size"], "counts": encoding["counts"].decode()}
    truth = {
        "images": [{"id": "a", "height": 8, "width": 8}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": "a", "category_id": 1, "segmentation": entry, "area": 8, "bbox": [0, 0, 8, 8]}
            | {"iscrowd": 0}
        ],
    }
    best, other = ({"image_id": "a", "category_id": 1, "segmentation": dict(entry), "score": s} for s in (0.9, 0.2))
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    results = tmp_path / "results.json"
    results.write_text(json.dumps([best, other]))
    assert score("a2d", tmp_path / "truth.json", results).tables["global"]["P@0.9"] == 1
    change(other)
    results.write_text(json.dumps([best, other]))
    with pytest.raises(ValueError, match=rf"results\.json: prediction 1.* {message}"):
        score("a2d", tmp_path / "truth.json", results)
    other |= {"image_id": "a", "score": 0.2, "segmentation": {"size": [8, 16], "counts": "P4"}}
    results.write_text(json.dumps([best, other]))
    with pytest.raises(ValueError, match=r"a mask of image_id 'a' is \[8, 16\] .*, but the ground truth is \[8, 8\]"):
        score("a2d", tmp_path / "truth.json", results)
