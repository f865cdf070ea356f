"""Mean, recall and decay of per-frame values, compared with the DAVIS tool."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from voskit.evaluators.metrics.measures.statistics import decay, mean, mean_of, recall

FIRST_WRONG = 257  # least number of values for which the decay of the tool is wrong


def test_published_cases(goldens: Path) -> None:
    cases = json.loads((goldens / "boundary" / "statistics.json").read_text())["cases"]
    assert cases
    for case in cases:
        values = [math.nan if value is None else value for value in case["values"]]
        assert mean(values) == pytest.approx(case["mean"], abs=1e-12)
        assert recall(values) == pytest.approx(case["recall"], abs=1e-12)
        if len(values) < FIRST_WRONG:
            assert decay(values) == pytest.approx(case["decay"], abs=1e-12)


def test_recall_is_strict_and_counts_nan() -> None:
    assert recall([0.5, 0.6, math.nan, 1.0]) == 0.5


def test_decay_of_a_long_falling_list() -> None:
    values = np.linspace(1, 0, 1001)
    assert decay(values) == pytest.approx(0.75)


def test_nothing_to_count_is_nan() -> None:
    assert all(math.isnan(statistic([])) for statistic in (mean, recall, decay))
    assert math.isnan(mean([math.nan]))
    assert math.isnan(mean_of([], ["J"])["J"])
