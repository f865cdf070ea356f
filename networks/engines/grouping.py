"""Grouping of objects by distance, for identity banks with fewer identities than objects.

Only the bundled weights use it (``neighbors_apart``). By default, as published, objects are grouped in the order of
their ids.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

_REACHES = (36, 72)  # neighbors are objects within these fractions of the short edge: about 1 and 1/2 positions


def separate_neighbors(ids_HW: Tensor, ids: list[int], group_size: int, room: int) -> list[int]:
    """Order objects so that neighbors get identities of different groups.

    A group sees the objects of other groups as background, and a network confuses an object with the background less
    often than with another identity. From the largest to the smallest, each object joins the group with the fewest of
    its neighbors.

    Args:
        ids_HW: a mask with integer ids. Its mirror image gives the same order.
        ids: the objects to order, ascending.
        group_size: identities of a group.
        room: free identities of the last group so far, 0 to ``group_size - 1``.
    """
    rooms = [room] if room else []
    while sum(rooms) < len(ids):
        rooms.append(group_size)
    if len(rooms) == 1:
        return ids
    rooms[-1] -= sum(rooms) - len(ids)  # only the last group may have identities to spare
    contacts, areas = _contacts(ids_HW.cpu().numpy(), ids)
    near = np.zeros((len(ids), len(rooms)))
    members: list[list[int]] = [[] for _ in rooms]
    for i in np.argsort(-areas, kind="stable").tolist():
        free = [g for g, most in enumerate(rooms) if len(members[g]) < most]
        group = min(free, key=lambda g: (near[i, g], len(members[g])))
        members[group].append(i)
        near[:, group] += contacts[i]
    return [ids[i] for group in members for i in sorted(group)]


def _contacts(ids_HW: np.ndarray, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Count the pairs of neighboring pixels of every two objects, [n, n], and the objects' areas in pixels, [n]."""
    count = len(ids)
    place = np.searchsorted(ids, ids_HW).clip(max=count - 1)
    index_HW = np.where(np.asarray(ids)[place] == ids_HW, place + 1, 0)  # 0: none of these objects
    pairs = np.zeros((count + 1) ** 2, np.int64)
    for part in _REACHES:
        reach = max(1, min(index_HW.shape) // part)
        left, right = np.s_[:, :-reach], np.s_[:, reach:]
        for one, other in (
            (index_HW[left], index_HW[right]),
            (index_HW[:-reach], index_HW[reach:]),
            (index_HW[:-reach][left], index_HW[reach:][right]),
            (index_HW[:-reach][right], index_HW[reach:][left]),
        ):
            pairs += np.bincount((one * (count + 1) + other).ravel(), minlength=len(pairs))
    contacts = pairs.reshape(count + 1, count + 1)[1:, 1:]
    return contacts + contacts.T, np.bincount(index_HW.ravel(), minlength=count + 1)[1:]
