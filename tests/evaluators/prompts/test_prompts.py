"""Prompts are checked before they are used, and prompters are chosen by name."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from voskit.evaluators.prompts.base import PROMPTERS, Point, build_prompter, check_prompt
from voskit.evaluators.prompts.first_mask import ObjectPrompt, prompted_ids

if TYPE_CHECKING:
    from torch import device

IMAGE = np.zeros((20, 30, 3), np.uint8)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "nothing indicates the object"),
        ({"points": [(3, 3, False)]}, "nothing indicates the object"),
        ({"mask": np.zeros((20, 30), bool)}, "nothing indicates the object"),
        ({"points": [(30, 3, True)]}, r"point \(30, 3\) lies outside the frame of 30 x 20 pixels"),
        ({"points": [(3, -1, True)]}, "outside"),
        ({"points": [(float("nan"), 1, True)]}, "outside"),
        ({"box": (30, 0, 40, 20)}, "no pixel of the frame of 30 x 20 pixels"),
        ({"box": (5, 5, 5, 9)}, "no pixel"),
        ({"box": (0, 0, float("inf"), 9)}, "four numbers"),
        ({"mask": np.ones((30, 20), bool)}, "the mask has 20 x 30 pixels, the frame 30 x 20"),
    ],
)
def test_bad_prompts_are_errors(prompt: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_prompt(IMAGE, **prompt)


def test_a_frame_of_a_different_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="uint8"):
        check_prompt(IMAGE.astype(np.float32), points=[(1, 1, True)])


def test_a_box_is_clipped_to_the_frame_and_covers_the_pixels_that_it_touches() -> None:
    assert check_prompt(IMAGE, box=(-4, 2.5, 7.2, 99)).box == (0, 2, 8, 20)


def test_an_empty_mask_is_none() -> None:
    prompt = check_prompt(IMAGE, points=[(1, 1, True)], mask=np.zeros((20, 30), np.uint8))
    assert prompt.mask is None


def test_prompters_are_listed_and_unknown_ones_suggest_similar_names() -> None:
    assert PROMPTERS.names() == ["grabcut", "sam", "sam2"]
    with pytest.raises(ValueError, match="did you mean grabcut"):
        build_prompter("grab_cut")


@pytest.mark.parametrize("text", ["grabcut:pixels", "grabcut:size=3", "grabcut:pixels=abc", "sam:weights=3"])
def test_unknown_options_of_a_prompter_are_errors(text: str) -> None:
    with pytest.raises(ValueError, match=f"prompter '{text}': "):
        build_prompter(text)


class WithPath:
    def __init__(self, weights: Path = Path("default"), margin: int = 0) -> None:
        self.options = (weights, margin)


class TypedForCheckersOnly:
    def __init__(self, margin: int = 0, place: device | None = None) -> None:
        self.options = (margin, place)


@pytest.mark.parametrize(
    ("entry", "text", "options"),
    [
        (WithPath, "weights=sub/a.pth", (Path("sub/a.pth"), 0)),
        (partial(WithPath, margin=5), "weights=a", (Path("a"), 5)),
        (partial(WithPath, margin=5), "margin=7", (Path("default"), 7)),
        (TypedForCheckersOnly, "margin=3", (3, None)),
    ],
)
def test_plugins_may_register_any_callable(
    monkeypatch: pytest.MonkeyPatch, entry: Any, text: str, options: tuple[Any, ...]
) -> None:
    monkeypatch.setitem(PROMPTERS._entries, "mine", entry)
    assert build_prompter(f"mine:{text}").options == options  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (np.ones((20, 30), np.uint8), r"\(20, 30\) uint8"),
        (np.ones((30, 20), bool), r"\(30, 20\) bool"),
        (np.ones((1, 20, 30), bool), r"\(1, 20, 30\) bool"),
        (None, "NoneType"),
    ],
)
def test_results_of_a_plugin_prompter_are_checked(result: Any, found: str) -> None:
    class Other:
        def segment(self, *_: object, **__: object) -> Any:
            return result

    expected = rf"object 3: the prompter must return a mask of shape \(20, 30\) and type bool, not {found}"
    with pytest.raises(ValueError, match=expected):
        prompted_ids(IMAGE, {3: ObjectPrompt([Point(1, 1)])}, Other())


def test_options_of_a_partial_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROMPTERS._entries, "mine", partial(WithPath, margin=5))
    with pytest.raises(ValueError, match="prompter 'mine:margin=x': margin must be int, got 'x'"):
        build_prompter("mine:margin=x")
