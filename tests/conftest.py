"""Shared fixtures. Conformance numbers and real data lie beside the repository; tests that need them skip without."""

from __future__ import annotations

import argparse
import functools
import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

if sys.dont_write_bytecode:  # then each of the programs that tests start would compile all of PyTorch for itself
    compiled = tempfile.TemporaryDirectory(prefix="voskit_tests_bytecode_")  # removed when this process ends
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = compiled.name
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton is imported: its kernels then run on the CPU
os.environ["VOSKIT_OFFLINE"] = "1"  # no test downloads, nor finds what an earlier download left in the user's cache
os.environ["VOSKIT_HOME"] = str(Path(__file__).parent / "no_downloads")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
AOT = SHARED / "conformance" / "aot"
XMEM = SHARED / "conformance" / "xmem"
JOINTFORMER = SHARED / "conformance" / "jointformer"
REFERFORMER = SHARED / "conformance" / "referformer"


_THREADS = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2
if _THREADS == 1:  # of programs that tests start, too: several of more threads than that wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")


LONGEST = (
    "test_style.py",
    "test_conformance.py",
    "test_trainer.py",
    "test_onnx_segmenter.py",
    "test_train.py",
    "test_eval.py",
    "test_goldens.py",
    "test_referformer.py",
    "test_validation_in_training.py",
    "test_process.py",
    "test_training_step.py",
    "test_local_attention.py",
    "test_onnx_referring.py",
    "test_referring_tools.py",
    "test_packaging.py",
    "test_page_frames.py",
    "test_web_page.py",
)
FAST = (
    "configs/",
    "dataloaders/",
    "datasets/",
    "evaluators/clips/test_overlay.py",
    "evaluators/metrics/test_building_blocks.py",
    "evaluators/metrics/test_statistics.py",
    "networks/test_components.py",
    "networks/test_families.py",
    "networks/test_grouping.py",
    "networks/test_identity_patches.py",
    "networks/test_memory.py",
    "networks/test_objects.py",
    "networks/test_top_k.py",
    "trainers/test_losses_and_schedule.py",
    "trainers/test_referring_losses.py",
    "test_goldens.py",
    "test_imports.py",
    "test_prose.py",
)
"""Folders and files whose tests are marked ``fast``, apart from tests marked ``slow``: a minute together."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let all conformance cases and thorough tests run."""
    parser.addoption("--all-cases", action="store_true", help="run every conformance case and thorough tests")


def pytest_configure(config: pytest.Config) -> None:
    """Let xdist keep the order of the files; it would begin with those of the most tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark fast tests, leave out thorough ones, and begin with the longest files, which would else run last."""
    if not config.getoption("--all-cases"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("thorough")])
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    here = Path(__file__).parent
    for item in items:
        name = item.path.relative_to(here).as_posix() if item.path.is_relative_to(here) else ""
        if name.startswith(FAST) and item.get_closest_marker("slow") is None:
            item.add_marker("fast")
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let tests that skip for want of ``../shared`` fail if ``CI`` is set: there the numbers must be checked."""
    report = yield
    if report.skipped and os.environ.get("CI") and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2])
        if str(SHARED) in reason or "empty parameter set" in reason:
            report.outcome, report.longrepr = "failed", f"{reason}; with CI set this is a failure"
    return report


@pytest.fixture(autouse=True, scope="session")
def few_threads() -> None:
    """Two, as the goldens were recorded with, or one where tests run side by side."""
    torch.set_num_threads(_THREADS)


@pytest.fixture(autouse=True, scope="session")
def memory_as_in_commands() -> None:
    """Freed memory is used again, which saves a twentieth of the time."""
    from voskit.tools.command import reuse_freed_memory

    reuse_freed_memory()


@pytest.fixture(autouse=True)
def scoring_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score in this process by default: beside other threads, as xdist has, workers import everything anew."""
    for name in ("metrics.base", "benchmarks.scoring", "compare.run"):
        if module := sys.modules.get(f"voskit.evaluators.{name}"):
            monkeypatch.setattr(module, "default_workers", lambda: 1)


@pytest.fixture(scope="session")
def aot_goldens() -> Path:
    """Folder of the numbers recorded from the original AOT and DeAOT."""
    if not AOT.is_dir():
        pytest.skip(f"conformance numbers are not at {AOT}")
    if str(AOT) not in sys.path:
        sys.path.insert(0, str(AOT))
    return AOT


@pytest.fixture(scope="session")
def xmem_goldens() -> Path:
    """Folder of the numbers recorded from the original XMem."""
    if not XMEM.is_dir():
        pytest.skip(f"conformance numbers are not at {XMEM}")
    return XMEM


def program_of(goldens: Path, name: str) -> ModuleType:
    """One of the Python files that come with a family's numbers."""
    spec = importlib.util.spec_from_file_location(f"{goldens.name}_{name}", goldens / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weights_writer(goldens: Path, folder: Path) -> Callable[[str], Path]:
    """A function that gives the file of the made-up weights of one of a family's variants."""
    fill = program_of(goldens, "fill")

    def write(variant: str) -> Path:
        path = folder / f"{variant}.pth"
        if not path.exists():
            entries = json.loads((goldens / "keys" / f"{variant}.json").read_text())["entries"]
            tune = json.loads((goldens / "fill_tune.json").read_text())
            torch.save({k: torch.from_numpy(v) for k, v in fill.fill_state(entries, tune).items()}, path)
        return path

    return write


@pytest.fixture(scope="session")
def xmem_weights(xmem_goldens: Path, tmp_path_factory) -> Callable[[str], Path]:
    """Gives the file of the made-up weights of a variant: default, no_sensory, single_object."""
    return weights_writer(xmem_goldens, tmp_path_factory.mktemp("xmem"))


@pytest.fixture(scope="session")
def jointformer_goldens() -> Path:
    """Folder of the numbers recorded from the original JointFormer."""
    if not JOINTFORMER.is_dir():
        pytest.skip(f"conformance numbers are not at {JOINTFORMER}")
    return JOINTFORMER


@pytest.fixture(scope="session")
def jointformer_weights(jointformer_goldens: Path, tmp_path_factory) -> Callable[[str], Path]:
    """Gives the file of the made-up weights of a variant: default, single_object, update3_enhance2."""
    return weights_writer(jointformer_goldens, tmp_path_factory.mktemp("jointformer"))


@pytest.fixture(scope="session")
def referformer_goldens() -> Path:
    """Folder of the numbers recorded from the original ReferFormer."""
    if not REFERFORMER.is_dir():
        pytest.skip(f"conformance numbers are not at {REFERFORMER}")
    return REFERFORMER


@pytest.fixture(scope="session")
def referformer_program(referformer_goldens: Path) -> Callable[[str], ModuleType]:
    """Gives a program that comes with ReferFormer's numbers: fill, compare."""
    return functools.partial(program_of, referformer_goldens)


@pytest.fixture(scope="session")
def referformer_weights(referformer_goldens: Path, tmp_path_factory) -> Callable[[str], Path]:
    """Gives a file of the made-up weights for a backbone, of the kind that the authors' training writes."""
    fill, folder = program_of(referformer_goldens, "fill"), tmp_path_factory.mktemp("referformer")

    def write(backbone: str) -> Path:
        path = folder / f"{backbone}.pth"
        if not path.exists():
            arrays = fill.fill_from_json(referformer_goldens / "keys" / f"{backbone}.json")
            state = {k: torch.from_numpy(v) for k, v in arrays.items()}
            state["text_encoder.embeddings.position_ids"] = torch.arange(514)[None]
            content = {"model": state, "epoch": 5, "args": argparse.Namespace(backbone=backbone, lr=1e-4)}
            torch.save(content, path, _use_new_zipfile_serialization=False)
        return path

    return write


@pytest.fixture(scope="session")
def goldens_of(aot_goldens: Path) -> Callable[[str], Path]:
    """A function that gives the folder of the numbers of a model's family; skips where there is none."""

    def find(model: str) -> Path:
        for keys in sorted(aot_goldens.parent.glob(f"*/keys/{model}.json")):
            return keys.parents[1]
        pytest.skip(f"there are no conformance numbers of {model} in {aot_goldens.parent}")

    return find


@pytest.fixture(scope="session")
def aost_goldens(goldens_of: Callable[[str], Path]) -> Path:
    """Folder of the numbers of AOST."""
    return goldens_of("aost")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real sequences and weights."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"real data is not at {SHARED / 'data'}")
    return SHARED / "data"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Address of a web server that gives out ``tmp_path``."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """A function that mounts a real file system of some KiB; skips where that isn't permitted."""
    mounted: list[Path] = []

    def mount(size_kib: int, options: str = "") -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k{options}", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"a small file system can't be mounted here: {error}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[..., Any]]:
    """A function that starts the system's Chromium with some flags, once a module.

    Playwright runs an event loop on this thread until it is stopped: of two at once, and of an event loop that another
    test starts, the second fails.
    """
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    problem = None if path else "no Chromium is installed (apt-get install chromium-headless-shell)"
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        problem = "playwright is not installed (pip install playwright)"
    if problem:
        if os.environ.get("CI"):
            pytest.fail(f"{problem}; with CI set this is a failure")
        pytest.skip(f"THE PAGES ARE NOT TESTED: {problem}")
    started: dict[tuple[str, ...], Any] = {}
    with sync_playwright() as playwright:

        def start(*flags: str) -> Any:
            if flags not in started:
                arguments = ["--no-sandbox", *flags]
                started[flags] = playwright.chromium.launch(executable_path=path, args=arguments)
            return started[flags]

        yield start
        for browser in started.values():
            browser.close()
