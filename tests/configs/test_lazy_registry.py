"""A registry whose modules are imported when one of their names is asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from voskit.configs import Registry

FRUIT: Registry[type] = Registry("fruit", ["lazy_apples", "lazy_pears"])


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, classes in (("lazy_apples", ("Gala", "Fuji")), ("lazy_pears", ("Nashi",))):
        lines = [f'@FRUIT.register("{c.lower()}")\nclass {c}: ...' for c in classes]
        (tmp_path / f"{name}.py").write_text("\n".join(["from test_lazy_registry import FRUIT", *lines]))
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "FRUIT", Registry("fruit", ["lazy_apples", "lazy_pears"]))
    monkeypatch.setitem(sys.modules, "test_lazy_registry", sys.modules[__name__])


def test_a_name_imports_the_modules_up_to_its_own() -> None:
    assert FRUIT.get("fuji").__name__ == "Fuji"
    assert "lazy_pears" not in sys.modules
    assert "nashi" in FRUIT
    assert "lazy_pears" in sys.modules


def test_names_follow_the_order_of_modules_whichever_is_imported_first() -> None:
    import lazy_pears  # type: ignore[import-not-found]

    FRUIT.register("own")(int)
    assert FRUIT.names() == list(FRUIT) == ["gala", "fuji", "nashi", "own"]
    assert len(FRUIT) == 4 and FRUIT.get("nashi") is lazy_pears.Nashi


def test_a_name_of_a_module_that_is_not_imported_yet_is_reserved() -> None:
    with pytest.raises(ValueError, match="fruit 'nashi' is registered twice"):
        FRUIT.register("nashi")(int)


def test_an_unknown_name_is_compared_with_those_of_all_modules() -> None:
    with pytest.raises(ValueError, match=r"unknown fruit 'nashy': did you mean nashi\?"):
        FRUIT.get("nashy")
