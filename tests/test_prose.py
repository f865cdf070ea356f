"""Docstrings, comments, messages and docs: banned openings and phrases."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

OPENINGS = (
    r"What\b",
    r"How\b",
    r"Which\b",
    r"Where\b",
    r"Whether\b",
    r"That\b",
    r"The same\b",
    r"From .* to ",
    r"One's own\b",
    r"(?:Returns|Gives|Takes|Draws|Writes|Reads|Makes|Tells|Says|Holds|Runs|Does)\b",
)
PHRASES = (
    r"\bof ours\b",
    r"\bof one's own\b",
    r"\ba person's\b",
    r"\b(?:is|are|was|were) told by\b",
    r"\btold (?:otherwise|nothing else)\b",
    r"\bgoes? on (?:with|from|where)\b",
    r"\b(?:is|are) gone back\b",
    r"\bgoing on from\b",
    r"\bas far as\b",
    r"\bas many as\b",
    r"\bso many\b",
    r"\bbegins? anew\b",
    r"\bwhere (?:there is|there are|that is|that was|that were|it is|that isn't|nothing)\b",
    r"\bbesides (?:the|it)\b",
    r"\bbe it\b",
    r"\ball the same\b",
    r"\bin the end\b",
    r"\bat last\b",
    r"\bsay(?:s)? of\b",
    r"\bwhat (?:is|was|are|were) (?:made|given|told|said|meant|asked|left|there)\b",
    r"\bwhat (?:all|both|the families)\b",
    r"\bis asked (?:for|of)\b",
    r"\band its kin\b",
    r"\banother one\b",
    r"\bthat are (?:none|no)\b",
    r"\bgive out\b",
)
BRITISH = (
    r"\w*colour\w*",
    r"\w*neighbour\w*",
    r"\b(?:optim|normal|initial|recogn|serial|quant|organ|summar|real|final|minim|maxim)is(?:e|ed|es|ing|er|ation)\b",
    r"\bgrey\w*",
    r"\bbehaviour\w*",
    r"\bcentre[sd]?\b",
    r"\blicences?\b",
    r"\bfavour\w*",
    r"\bcancelled\b",
    r"\blabell\w+",
)
PROSE = re.compile("|".join(f"(?:{phrase})" for phrase in (*PHRASES, *BRITISH)), re.IGNORECASE)
OPENING = re.compile("|".join(f"(?:{opening})" for opening in OPENINGS))
DOCUMENTS = ("README.md", "MODEL_ZOO.md", "CONTRIBUTING.md", "docs/*.md", "datasets/**/*.md", "pretrain_models/*.md")


def tracked(*patterns: str) -> list[Path]:
    """Files of the project that match; in an archive without git, files on the disk."""
    git = subprocess.run(["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True)
    if git.returncode == 0:
        return [ROOT / name for name in git.stdout.splitlines() if (ROOT / name).is_file()]
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def findings_in_python(text: str) -> list[str]:
    """Banned openings of docstrings, and banned phrases in docstrings, comments and other string literals."""
    found = []
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        docstring = ast.get_docstring(node)
        if docstring and OPENING.match(docstring):
            line = node.body[0].lineno
            found.append(f"{line}: opens with {docstring.split(maxsplit=1)[0]!r}")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)):
            found += findings_in_text(token.string, token.start[0])
    return found


def findings_in_text(text: str, first_line: int = 1) -> list[str]:
    """Banned phrases of a text, with their lines."""
    return [f"{first_line + text[: m.start()].count(chr(10))}: {m.group()!r}" for m in PROSE.finditer(text)]


ROOMS = ("voskit", "configs", "networks", "dataloaders", "trainers", "evaluators", "tools", "benchmarks")


@pytest.mark.parametrize("folder", ROOMS)
def test_code_is_written_in_plain_english(folder: str) -> None:
    files = tracked(f"{folder}/*.py", f"{folder}/**/*.py")
    found = [f"{p.relative_to(ROOT)}:{line}" for p in files for line in findings_in_python(p.read_text("utf-8"))]
    assert files and not found, "\n".join(found)


def test_documents_are_written_in_plain_english() -> None:
    files = tracked(*DOCUMENTS)
    found = [f"{p.relative_to(ROOT)}:{line}" for p in files for line in findings_in_text(p.read_text("utf-8"))]
    assert files and not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        '"""What a frame is."""',
        'x = "the mask is told by a file"',
        "# of ours",
        "def f():\n    '''Whether it is.'''",
        '"""Noun.\n\nCentre."""',
    ],
)
def test_a_planted_phrase_is_found(text: str) -> None:
    assert findings_in_python(text)
    assert not findings_in_python('"""Frames of a video."""\nx = 1  # cached: a copy would sync')
