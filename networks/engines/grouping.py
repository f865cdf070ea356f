"""Which objects share a group, where one bank of identities doesn't hold all."""

from __future__ import annotations

import numpy as np
from torch import Tensor

_REACHES = (36, 72)  # objects are neighbours where they are within such parts of the short edge: a position, and half


def keep_apart(ids_HW: Tensor, ids: list[int], group_size: int, room: int) -> list[int]:
    """The order in which objects get identities such that neighbours fall into different groups.

    Objects of other groups are background to a group, and background is easier told from an object than another
    identity is. Largest first, each object joins the group where it has the fewest neighbours.

    Args:
        ids_HW: a mask, integer ids. Its mirror image gives the same order.
        ids: the objects to be ordered, ascending.
        group_size: objects of a group.
        room: free identities of the group that is being filled, 0 to ``group_size - 1``.
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
    """How often pixels of two objects are neighbours, [n, n], and the areas of the objects in pixels, [n]."""
    count = len(ids)
    place = np.searchsorted(ids, ids_HW).clip(max=count - 1)
    index_HW = np.where(np.asarray(ids)[place] == ids_HW, place + 1, 0)  # 0 is none of these objects
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
