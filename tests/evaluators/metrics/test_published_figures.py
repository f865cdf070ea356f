"""All figures of the published scorers, on miniature benchmarks and for a real method on real sequences."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from thorough import mark_thorough

from voskit.evaluators.metrics import list_scorers, score

INVOCATIONS = Path(__file__).resolve().parents[4] / "shared" / "conformance" / "metrics" / "invocations.json"
CASES = json.loads(INVOCATIONS.read_text()) if INVOCATIONS.is_file() else []

Differences = Callable[[Any, Any], list[Any]]


def at(tree: Any, path: list[str]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_command_line_gives_the_published_figures(
    case: dict, goldens: Path, differences: Differences, run_score: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    output = tmp_path / "scores.json"
    options = [part for name, value in case["options"].items() for part in (f"--{name}", value)]
    code, errors = run_score(
        "--dataset", case["dataset"], "--data_root", goldens / case["data_root"],
        "--results", goldens / case["results"], "--output", output, *options,
    )  # fmt: skip
    assert code == 0, errors
    scores = json.loads(output.read_text())
    expected = json.loads((goldens / case["expected"]).read_text())
    for theirs, ours in case["compare"]:
        assert differences(at(expected, theirs), at(scores, ours)) == []


@pytest.mark.thorough
def test_as_a_program_with_dashes_in_flags(goldens: Path, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "tools/score.py", "--dataset", "vost", "--data-root", str(goldens / "vost")]
    command += ["--results", str(goldens / "vost" / "results"), "--output", str(tmp_path / "s.json")]
    done = subprocess.run([*command, "--num-workers", "1"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "J_last-Mean" in done.stdout
    missing = subprocess.run(
        [*command[:5], "nowhere", *command[6:]], cwd=root, capture_output=True, text=True, check=False
    )
    assert missing.returncode == 1
    assert missing.stderr.strip() == "error: nowhere: no such file or folder"


def test_every_benchmark_of_the_cases_is_registered() -> None:
    assert {case["dataset"] for case in CASES} <= set(list_scorers())


def test_lvos_with_the_compiled_boundary_and_with_proposals(goldens: Path, differences: Differences) -> None:
    expected = json.loads((goldens / "lvos" / "expected.json").read_text())
    compiled = score("lvos", goldens / "lvos", goldens / "lvos" / "results", reading="compiled")
    want = expected["semi_supervised_with_compiled_boundary"]
    assert differences(want["global"], compiled.tables["global"]) == []
    per_object = compiled.tables["per_object"]
    assert differences(want["F_per_object"], {name: row["F-Mean"] for name, row in per_object.items()}) == []
    proposals = score("lvos", goldens / "lvos", goldens / "lvos" / "results", task="unsupervised_multiple")
    assert differences(expected["unsupervised_multiple"]["global"], proposals.tables["global"]) == []


def test_panoptic_windows_and_videos(goldens: Path, differences: Differences) -> None:
    expected = json.loads((goldens / "vipseg" / "expected.json").read_text())
    tables = score("vipseg", goldens / "vipseg", goldens / "vipseg" / "results").tables
    assert differences(expected["windows"], tables["windows"]) == []
    assert differences(expected["STQ"]["per_video"], tables["per_sequence"]) == []


def test_each_annotator_of_ref_davis(goldens: Path, differences: Differences) -> None:
    expected = json.loads((goldens / "refdavis17" / "expected.json").read_text())
    tables = score("refdavis17", goldens / "refdavis17", goldens / "refdavis17" / "results").tables
    for name in ("anno_0", "anno_1", "anno_2", "anno_3"):
        assert differences(expected[name]["global"], tables["per_annotator"][name]) == []
        rows = {f"{name}/{key}": row for key, row in expected[name]["per_object"].items()}
        assert differences(rows, tables["per_object"]) == []


@pytest.mark.parametrize("reading", ["after_first", "after_first_without_last"])
def test_each_object_of_youtube_vos(goldens: Path, differences: Differences, reading: str) -> None:
    expected = json.loads((goldens / "ytvos" / "expected.json").read_text())["per_object"]
    results = goldens / "ytvos" / "results" / "Annotations"
    rows = score("youtubevos2018", goldens / "ytvos", results, reading=reading).tables["per_object"]
    assert differences({name: row[reading] for name, row in expected.items()}, rows) == []


@pytest.mark.parametrize(("task", "file"), [("exemplar_guided", "exemplar_guided"), ("class_guided", "tracks")])
def test_each_sequence_of_burst(goldens: Path, differences: Differences, task: str, file: str) -> None:
    expected = json.loads((goldens / "burst" / "expected.json").read_text())[task]["per_sequence"]
    tables = score("burst", goldens / "burst", goldens / "burst" / "results" / f"{file}.json", task=task).tables
    assert differences(expected, tables["per_sequence"]) == []


def test_each_image_of_a2d(goldens: Path, differences: Differences) -> None:
    folder = goldens / "a2d_jhmdb"
    expected = json.loads((folder / "expected.json").read_text())["a2d"]["per_image"]
    rows = score("a2d", folder / "a2d_gt.json", folder / "a2d_predictions.json").tables["per_image"]
    assert differences(expected, rows) == []


@pytest.mark.parametrize("num_workers", mark_thorough([1, 2], [1]))
def test_published_results_on_real_sequences(real_data: Path, num_workers: int) -> None:
    root = real_data / "vos_eval_open"
    tables = score("davis2017", root, root / "Results" / "OSVOS", num_workers=num_workers).tables
    figures = tables["global"]
    assert figures["J&F-Mean"] == pytest.approx(0.756736, abs=5e-7)
    assert figures["J-Mean"] == pytest.approx(0.704357, abs=5e-7)
    assert figures["F-Mean"] == pytest.approx(0.809114, abs=5e-7)
    keys, values = (root / "Results" / "OSVOS-official-global.csv").read_text().splitlines()[:2]
    for key, value in zip(keys.split(","), values.split(","), strict=True):
        assert figures[key] == pytest.approx(float(value), abs=5.1e-4), key
    for line in (root / "Results" / "OSVOS-official-per-sequence.csv").read_text().splitlines()[1:]:
        name, j, f = line.split(",")
        assert tables["per_object"][name]["J-Mean"] == pytest.approx(float(j), abs=5.1e-4)
        assert tables["per_object"][name]["F-Mean"] == pytest.approx(float(f), abs=5.1e-4)
