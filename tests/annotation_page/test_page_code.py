"""The page's code: types, and files that the wheel holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from page_types import check_types

STATIC = Path(__file__).resolve().parents[2] / "evaluators/annotation/static"
MODULES = sorted(STATIC.glob("**/*.js"))


def test_modules_are_type_checked(tmp_path: Path) -> None:
    check_types(STATIC, tmp_path)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_modules_ask_for_checking_and_import_files_that_exist(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert text.startswith("// @ts-check\n/** ")
    assert len(text.splitlines()) < 600
    for name in re.findall(r'^import .*? from "(.+?)";', text, re.MULTILINE):
        assert name.startswith(".") and (module.parent / name).resolve().is_file(), name


def test_the_page_names_files_that_exist() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    names = re.findall(r'(?:src|href)="(.+?)"', page)
    assert len(names) >= 5
    assert all((STATIC / name).is_file() for name in names)
