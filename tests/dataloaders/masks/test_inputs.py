"""Every form of mask in docs/inputs.md: read with the right ids and a log line, or refused with its message."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from inputs_table import MASKS, SIZE, MaskInput
from media_files import one_line

from voskit.dataloaders.masks.files import read_mask, read_mask_with_names

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("given", [one for one in MASKS if one.ids is not None], ids=lambda one: one.form)
def test_accepted_forms(given: MaskInput, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = "00000" if given.form.startswith("YouTube-VIS") else None
    ids = read_mask(given.write(tmp_path), size=SIZE, image=image)
    assert given.ids is not None
    assert set(np.unique(ids)) == set(np.unique(given.ids))
    assert (ids == given.ids).mean() >= given.agreement
    assert given.says in caplog.text
    assert all("\n" not in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("given", [one for one in MASKS if one.ids is None], ids=lambda one: one.form)
def test_refused_forms(given: MaskInput, tmp_path: Path) -> None:
    path = given.write(tmp_path)
    with pytest.raises(ValueError) as error:  # the message is compared below
        read_mask(path, size=SIZE)
    assert given.says in one_line(error)
    assert str(path) in one_line(error)


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("folder, files named by words", {1: "ball", 2: "box"}),
        ("folder, files named by ids", {}),
        ("COCO, category names", {1: "ball", 2: "box"}),
        ("YouTube-VIS, one video", {1: "ball", 2: "box"}),
        ("labelme, polygon", {1: "box"}),
        ("grayscale PNG", {}),
    ],
)
def test_names_of_objects(form: str, names: dict[int, str], tmp_path: Path) -> None:
    given = next(one for one in MASKS if one.form == form)
    image = "00000" if form.startswith("YouTube-VIS") else None
    assert read_mask_with_names(given.write(tmp_path), image=image).names == names


def test_the_committed_inputs_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_inputs", ROOT / "docs" / "make_inputs.py")
    assert spec is not None and spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    assert program.page() == (ROOT / "docs/inputs.md").read_text(encoding="utf-8"), "run python docs/make_inputs.py"
