"""Tokenizer of text prompts: RoBERTa's byte-pair encoding."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

START, PAD, END = 0, 1, 2
MAX_TOKENS = 512
"""Positions of RoBERTa, including the start and end tokens."""
TOKENIZER = Path(__file__).resolve().parents[1] / "pretrain_models" / "roberta-base"


class Tokenizer:
    """RoBERTa's byte-level tokenizer. Capitals and spaces of a prompt are kept.

    Args:
        folder: folder with ``vocab.json`` and ``merges.txt``; None: the bundled ones.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or the package ``tokenizers`` isn't installed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._pairs = _load(TOKENIZER if folder is None else folder)

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Return the tokens of B text prompts, [B, L] int64, padded to the longest one.

        Raises:
            ValueError: a prompt is empty, too long, or not a string.
        """
        tokens = []
        for prompt in prompts:
            if not isinstance(prompt, str) or not prompt.strip():
                raise ValueError(f"a text prompt must describe the object in words, got {prompt!r}")
            own = [START, *self._pairs.encode(prompt).ids, END]
            if len(own) > MAX_TOKENS:
                raise ValueError(
                    f"a text prompt has {len(own)} tokens, the limit is {MAX_TOKENS}: shorten {prompt[:60]!r}..."
                )
            tokens.append(own)
        longest = max(map(len, tokens), default=0)
        return torch.tensor([own + [PAD] * (longest - len(own)) for own in tokens], dtype=torch.int64)


@functools.lru_cache(maxsize=2)
def _load(folder: Path) -> Any:
    files = [folder / name for name in ("vocab.json", "merges.txt")]
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file: get it from the tokenizer of roberta-base")
    try:
        from tokenizers import ByteLevelBPETokenizer
    except ImportError as error:
        raise ValueError(
            f"text prompts need the package tokenizers, which comes with transformers ({error}): "
            "run pip install transformers, or install this project as '.[referring]'"
        ) from error
    try:
        return ByteLevelBPETokenizer(*map(str, files))
    except Exception as error:  # tokenizers has no error class of its own
        raise ValueError(f"{folder}: vocab.json or merges.txt can't be read ({error})") from error


def clean_caption(text: str) -> str:
    """Convert a caption to lower case, with single spaces between words and none around them."""
    return " ".join(text.lower().split())
