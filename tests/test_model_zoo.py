"""MODEL_ZOO.md: written by docs/make_model_zoo.py, complete, and in agreement with the code."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from voskit.configs import get_model_config
from voskit.configs.datasets import get_dataset_config
from voskit.networks import build_network
from voskit.networks.weights import list_published

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "MODEL_ZOO.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """docs/make_model_zoo.py."""
    spec = importlib.util.spec_from_file_location("make_model_zoo", ROOT / "docs" / "make_model_zoo.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def test_the_program_writes_the_committed_page(program: ModuleType) -> None:
    assert program.page() == PAGE


def test_every_published_row_is_on_the_page_with_its_scores(program: ModuleType) -> None:
    zoo = program.Zoo()
    lines = PAGE.splitlines()
    found = 0
    for family in program.FAMILIES:
        for table in (t for t in zoo.results if t["source"] == family.source):
            for row in table["rows"]:
                model, variant = family.row(row, table)
                scores = [value for key, value in row.items() if key not in family.dropped and value != "√"]
                wanted = {f"`{model}`", variant, *scores}
                assert any(
                    wanted <= {cell.strip() for cell in line.replace(" (600p)", "").split("|")} for line in lines
                )
                found += 1
    assert found == sum(len(table["rows"]) for table in zoo.results) == 140


def test_every_row_has_published_weights(program: ModuleType) -> None:
    zoo = program.Zoo()
    published = {(entry.model, entry.variant) for entry in list_published()}
    for family in program.FAMILIES:
        for table in (t for t in zoo.results if t["source"] == family.source):
            assert {family.row(row, table) for row in table["rows"]} <= published


def test_commands_name_datasets_and_splits_that_exist(program: ModuleType) -> None:
    for family in program.FAMILIES:
        for benchmark in family.benchmarks.values():
            if benchmark.dataset not in ("", "a2d", "jhmdb"):
                assert benchmark.split in ("", *get_dataset_config(benchmark.dataset).splits)


@pytest.mark.parametrize("model", ["aott", "r50_deaotl", "aost", "xmem"])
def test_numbers_of_parameters_are_those_of_the_networks(model: str) -> None:
    numbers = json.loads((ROOT / "networks" / "published_weights.json").read_text(encoding="utf-8"))
    with torch.device("meta"):
        network = build_network(get_model_config(model))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == numbers["million_parameters"][model]
