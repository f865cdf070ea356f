"""Tokens of text prompts: those of the published tokenizer, and clear errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from voskit.dataloaders.tokenizer import MAX_TOKENS, Tokenizer


def test_tokens_are_the_published_ones(referformer_goldens: Path) -> None:
    recorded = json.loads((referformer_goldens / "roberta-tokenizer" / "cases.json").read_text())
    tokenizer = Tokenizer()
    for case in (c for c in recorded["cases"] if c["text"]):
        assert tokenizer([case["text"]])[0].tolist() == case["ids"], case["text"]


def test_prompts_are_padded_to_the_longest() -> None:
    tokens = Tokenizer()(["the boy", "Hello world, this is longer"])
    assert tokens[0, :4].tolist() == [0, 627, 2143, 2]
    assert set(tokens[0, 4:].tolist()) == {1}
    assert tokens[1, -1] == 2


@pytest.mark.parametrize("prompt", ["", "   ", None, 3])
def test_an_invalid_prompt_is_refused(prompt) -> None:
    with pytest.raises(ValueError, match="a text prompt must describe the object in words, got"):
        Tokenizer()([prompt])


def test_a_prompt_may_be_too_long() -> None:
    Tokenizer()(["dog " * (MAX_TOKENS // 2)])
    with pytest.raises(ValueError, match=f"the limit is {MAX_TOKENS}: shorten 'dog dog"):
        Tokenizer()(["dog " * MAX_TOKENS])


def test_files_that_are_missing_or_damaged_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "vocab.json"))):
        Tokenizer(tmp_path)
    (tmp_path / "vocab.json").write_text("{")
    (tmp_path / "merges.txt").write_text("")
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path))}: .*can't be read"):
        Tokenizer(tmp_path)
