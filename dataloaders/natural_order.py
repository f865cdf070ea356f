"""Natural order of file names: frame2 before frame10, 0.0333 before 0.1."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

logger = logging.getLogger(__name__)

_ZEROS = str.maketrans("123456789", "000000000")
_INTEGER = re.compile(r"([0-9]+)")
# digits on both sides of one dot; 2024.01.05 and 1.2.3 aren't decimal numbers
_DECIMAL = re.compile(r"(?<![0-9.])[0-9]+\.([0-9]+)(?!\.?[0-9])")
_NUMBER = re.compile(rf"({_DECIMAL.pattern.replace('([0-9]+)', '[0-9]+')}|[0-9]+)")


def natural_key(name: str, *, decimals: bool = False) -> tuple[tuple[str | int | Decimal, ...], str]:
    """Return a sort key that orders numbers by value: ``frame2`` before ``frame10``; the plain name breaks ties.

    Args:
        name: file name, with or without its suffix.
        decimals: read digits, a dot and digits as a decimal number; otherwise each run of digits is an integer.
    """
    parts = (_NUMBER if decimals else _INTEGER).split(name.casefold())
    kind = Decimal if decimals else int
    return tuple(kind(part) if index % 2 else part for index, part in enumerate(parts)), name


def natural_sorted(names: Iterable[str], folder: Path | None = None) -> list[str]:
    """Sort names in natural order, after deciding for all of them together if numbers with a dot are decimals.

    Fractions of unequal length are ambiguous: 1.10 follows 1.9 if it counts frames, and precedes it if it is a time.
    They are counters if one of them ends in 0 (1.10), unlike printed times, and none begins with 0 (0.0333).

    Args:
        names: file names.
        folder: their folder; if given, the interpretation of ambiguous names is logged.
    """
    names = list(names)
    # plain order is the same, and faster, if all names have digits at the same places (00000.jpg, 00001.jpg)
    if len({name.translate(_ZEROS) for name in names}) <= 1:
        return sorted(names)
    decimals = _are_decimals(names)
    if decimals is not None and folder is not None:
        reading = "decimal numbers: 0.05 comes before 0.1" if decimals else "counters: 1.9 comes before 1.10"
        example = next(name for name in names if _DECIMAL.search(name))
        logger.info("%s: the numbers in file names such as %s are read as %s", folder, example, reading)
    return sorted(names, key=lambda name: natural_key(name, decimals=bool(decimals)))


def _are_decimals(names: list[str]) -> bool | None:
    """Return True if numbers with a dot are decimals, False if they are counters; None if the order is the same."""
    columns: dict[int, list[str]] = defaultdict(list)
    for name in names:
        for column, match in enumerate(_DECIMAL.finditer(name)):
            columns[column].append(match[1])
    # a name without a fraction, such as 1 next to 1.5, has one of length 0
    unequal = [c for c in columns.values() if len({len(f) for f in c} | ({0} if len(c) < len(names) else set())) > 1]
    if not unequal:
        return None
    long = [[fraction for fraction in column if len(fraction) > 1] for column in unequal]
    return any(any(f[0] == "0" for f in column) or not any(f[-1] == "0" for f in column) for column in long)
