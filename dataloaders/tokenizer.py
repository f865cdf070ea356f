"""From sentences to the tokens that a text encoder takes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

START, PAD, END = 0, 1, 2
MOST_TOKENS = 512
"""What RoBERTa has positions for, the start and the end included."""
TOKENIZER = Path(__file__).resolve().parents[1] / "pretrain_models" / "roberta-base"


class Tokenizer:
    """RoBERTa's byte-level pairs: what a sentence says is taken as it stands, capitals and blanks included.

    Args:
        folder: holds ``vocab.json`` and ``merges.txt``; None: those that come with the project.

    Raises:
        FileNotFoundError: a file isn't there.
        ValueError: a file is damaged, or the package tokenizers isn't installed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._pairs = _load(TOKENIZER if folder is None else folder)

    def __call__(self, sentences: Sequence[str]) -> Tensor:
        """Tokens of sentences, [B, L] int64, filled up to the longest one.

        Raises:
            ValueError: a sentence that is empty or too long, or that isn't a text.
        """
        tokens = []
        for sentence in sentences:
            if not isinstance(sentence, str) or not sentence.strip():
                raise ValueError(f"a sentence that says which object is meant is needed, got {sentence!r}")
            own = [START, *self._pairs.encode(sentence).ids, END]
            if len(own) > MOST_TOKENS:
                raise ValueError(f"a sentence has {len(own)} tokens, {MOST_TOKENS} at most: {sentence[:60]!r}...")
            tokens.append(own)
        longest = max(map(len, tokens), default=0)
        return torch.tensor([own + [PAD] * (longest - len(own)) for own in tokens], dtype=torch.int64)


@functools.lru_cache(maxsize=2)
def _load(folder: Path) -> Any:
    files = [folder / name for name in ("vocab.json", "merges.txt")]
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; it belongs to the tokenizer of roberta-base")
    try:
        from tokenizers import ByteLevelBPETokenizer
    except ImportError as error:
        raise ValueError(
            f"sentences need the package tokenizers, which comes with transformers ({error}): "
            "pip install transformers, or this project as '.[referring]'"
        ) from error
    try:
        return ByteLevelBPETokenizer(*map(str, files))
    except Exception as error:  # its errors have no class of their own
        raise ValueError(f"{folder}: vocab.json or merges.txt can't be read ({error})") from error


def clean_caption(text: str) -> str:
    """Lower case, with one space between words and none around them."""
    return " ".join(text.lower().split())
