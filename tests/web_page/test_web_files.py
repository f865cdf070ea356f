"""The page's files: types, what it shares with the annotation page, and onnxruntime-web."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from page_types import check_types

from voskit.evaluators.web.onnxruntime_web import FILES, VERSION, runtime_files
from voskit.evaluators.web.page import SHARED, SHARED_STATIC, STATIC, write_page
from voskit.tools import export


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's files as they lie beside an export."""
    folder = tmp_path_factory.mktemp("page")
    write_page(folder)
    return folder


def test_modules_are_type_checked(page: Path, tmp_path: Path) -> None:
    check_types(page, tmp_path)


def test_modules_are_checked_short_and_import_files_that_exist(page: Path) -> None:
    for module in sorted(page.glob("**/*.js")):
        text = module.read_text(encoding="utf-8")
        assert text.startswith("// @ts-check\n/** ") and len(text.splitlines()) < 600, module
        for name in re.findall(r'^import .*? from "(.+?)";', text, re.MULTILINE):
            assert name.startswith(".") and (module.parent / name).resolve().is_file(), (module, name)
    names = re.findall(r'(?:src|href)="(.+?)"', (page / "index.html").read_text(encoding="utf-8"))
    assert len(names) >= 6 and all((page / name).is_file() for name in names)


def test_shared_files_are_used_and_not_replaced(page: Path) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in page.glob("**/*") if path.suffix in (".js", ".html"))
    for name in SHARED:
        assert not (STATIC / name).exists()
        assert (page / name).read_bytes() == (SHARED_STATIC / name).read_bytes()
        assert Path(name).name in text


def write_package(folder: Path, version: str = VERSION) -> Path:
    """Write the names of an installed package."""
    package = folder / "node_modules" / "onnxruntime-web"
    (package / "dist").mkdir(parents=True)
    for name in FILES:
        (package / "dist" / name).write_text(name)
    (package / "package.json").write_text(json.dumps({"version": version}))
    return package


def test_an_installed_package_is_found_above_the_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    package = write_package(tmp_path, "1.20.0")
    (tmp_path / "a" / "b").mkdir(parents=True)
    with runtime_files(start=tmp_path / "a" / "b") as (dist, version):
        assert (dist, version) == (package / "dist", "1.20.0")
    assert "this one is 1.20.0" in caplog.text
    for named in (package, package / "dist"):
        with runtime_files(named) as (dist, _):
            assert dist == package / "dist"


@pytest.mark.parametrize(
    ("npm", "message"),
    [(False, "npm isn't installed: install Node.js, or run npm install"), (True, "VOSKIT_OFFLINE is set")],
)
def test_without_the_package_an_error_says_what_to_do(
    npm: bool, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    if npm:
        (tmp_path / "bin" / "npm").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "bin" / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert call(monkeypatch, "--model", "deaott", "--output_path", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert message in error and "--onnxruntime_web" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--model", "xmem"), "the page runs models of aot, deaot, aost, not xmem"),
        (("--model", "deaott", "--size", "480"), "--size '480': give height and width in pixels"),
        (("--model", "deaott", "--onnxruntime_web", "nowhere"), "--onnxruntime_web takes the package onnxruntime-web"),
    ],
)
def test_wrong_flags_are_reported_at_once(
    flags: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr("subprocess.run", None)  # npm isn't called
    assert call(monkeypatch, *flags, "--output_path", tmp_path / "out") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["export.py", "--format", "web", *map(str, arguments)])
    return export.main()
