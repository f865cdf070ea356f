"""Linear assignment: one-to-one matching of rows and columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_assignment(worth: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Match rows and columns of a matrix one to one, to maximize the sum of the matched elements.

    Returns:
        The rows, ascending, and the column of each.
    """
    from scipy.optimize import linear_sum_assignment  # takes 0.3 s to import, and few benchmarks need it

    return linear_sum_assignment(worth, maximize=True)
