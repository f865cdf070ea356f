"""Settings of a folder of results: the same ones go on, others are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voskit.configs import get_model_config
from voskit.evaluators.benchmarks.folder import check_settings


@pytest.mark.parametrize(
    ("model", "former", "now"), [("aott", "neighbours_apart", "neighbors_apart"), ("xmem", "mem_every", None)]
)
def test_a_folder_of_a_former_version_is_continued(tmp_path: Path, model: str, former: str, now: str | None) -> None:
    settings = {"model": model, "config": get_model_config(model).to_dict()}
    written = dict(settings["config"])
    written[former] = written.pop(now) if now else 5  # a former second field, equal to long_term_gap
    (tmp_path / "settings.json").write_text(json.dumps({**settings, "config": written}))
    check_settings(tmp_path, settings, tmp_path / "Annotations")
    written[former] = 7 if model == "xmem" else True
    (tmp_path / "settings.json").write_text(json.dumps({**settings, "config": written}))
    with pytest.raises(ValueError, match="holds results of other settings"):
        check_settings(tmp_path, settings, tmp_path / "Annotations")
