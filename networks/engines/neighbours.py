"""Which objects share a group, where one bank of identities doesn't hold all."""

from __future__ import annotations

import numpy as np
import torch
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
    rooms[-1] -= sum(rooms) - len(ids)  # only the last group may have identities to spare
    contacts, areas = _contacts(ids_HW, ids)
    near = np.zeros((len(ids), len(rooms)))
    members: list[list[int]] = [[] for _ in rooms]
    for i in np.argsort(-areas, kind="stable").tolist():
        free = [g for g, most in enumerate(rooms) if len(members[g]) < most]
        group = min(free, key=lambda g: (near[i, g], len(members[g])))
        members[group].append(i)
        near[:, group] += contacts[i]
    return [ids[i] for group in members for i in sorted(group)]


def _contacts(ids_HW: Tensor, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """How often pixels of two objects are neighbours, [n, n], and the areas of the objects in pixels, [n]."""
    count = len(ids)
    known = torch.tensor(ids, device=ids_HW.device)
    place = torch.searchsorted(known, ids_HW.long()).clamp_(max=count - 1)
    index_HW = torch.where(known[place] == ids_HW, place + 1, 0)  # 0 is none of these objects
    height, width = index_HW.shape
    pairs = torch.zeros((count + 1) ** 2, dtype=torch.int64, device=ids_HW.device)
    for part in _REACHES:
        reach = max(1, min(height, width) // part)
        left, right = slice(0, max(0, width - reach)), slice(reach, width)
        above, below = slice(0, max(0, height - reach)), slice(reach, height)
        for one, other in (
            (index_HW[:, left], index_HW[:, right]),
            (index_HW[above], index_HW[below]),
            (index_HW[above, left], index_HW[below, right]),
            (index_HW[above, right], index_HW[below, left]),
        ):
            pairs += torch.bincount((one * (count + 1) + other).flatten(), minlength=len(pairs))
    contacts = pairs.view(count + 1, count + 1)[1:, 1:]
    areas = torch.bincount(index_HW.flatten(), minlength=count + 1)[1:]
    return (contacts + contacts.T).cpu().numpy(), areas.cpu().numpy()
