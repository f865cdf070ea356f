"""Object slots: assignment of the user's ids to a model's identities, and conversion of maps between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

_REACHES = (36, 72)  # neighbors are objects within these fractions of the short edge


class ObjectSlots:
    """Slots of objects, numbered consecutively over all groups of identities.

    A slot is assigned only once, so that the memory of a deleted object isn't mistaken for a new one. A group whose
    objects are all deleted is removed with its slots.

    Args:
        group_size: identities of a group.
    """

    def __init__(self, group_size: int) -> None:
        self.group_size = group_size
        self._slots: dict[int, int] = {}
        self._assigned = 0

    @property
    def ids(self) -> list[int]:
        """Ids of the objects, in the order of their slots."""
        return list(self._slots)

    @property
    def slots(self) -> list[int]:
        """Slots of the objects, ascending."""
        return list(self._slots.values())

    @property
    def groups(self) -> int:
        """Number of groups."""
        return -(-self._assigned // self.group_size)

    @property
    def room(self) -> int:
        """Number of slots of the last group that aren't assigned yet."""
        return self.groups * self.group_size - self._assigned

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, ids: Iterable[int]) -> None:
        """Assign slots to the ids that have none yet, in their order."""
        for i in ids:
            if i not in self._slots:
                self._assigned += 1
                self._slots[i] = self._assigned

    def delete(self, ids: Iterable[int]) -> list[int]:
        """Remove objects and return the old numbers of the groups that remain, which are renumbered in this order.

        Raises:
            ValueError: an id that doesn't exist.
        """
        gone, size = set(ids), self.group_size
        if unknown := sorted(gone - self._slots.keys()):
            raise ValueError(f"there is no object {unknown[0]}; the objects are {self.ids}")
        before = self.groups
        left = {i: slot for i, slot in self._slots.items() if i not in gone}
        stay = sorted({(slot - 1) // size for slot in left.values()})
        if not stay or stay[-1] < before - 1:
            self._assigned = before * size  # the last group was removed: the one before it is full
        self._assigned -= (before - len(stay)) * size
        moved = {old: new for new, old in enumerate(stay)}
        self._slots = {i: moved[(slot - 1) // size] * size + (slot - 1) % size + 1 for i, slot in left.items()}
        return stay

    def to_slots(self, ids_HW: np.ndarray) -> np.ndarray:
        """Convert the user's ids to slots, int32; unknown ids become 0."""
        values, inverse = np.unique(ids_HW, return_inverse=True)
        return np.array([self._slots.get(int(v), 0) for v in values], np.int32)[inverse.reshape(ids_HW.shape)]

    def to_ids(self, slots_HW: np.ndarray) -> np.ndarray:
        """Convert slots to the user's ids, uint8, or uint16 if an id is above 255."""
        table = np.zeros(max(self.slots, default=0) + 1, np.uint16 if max(self.ids, default=0) > 255 else np.uint8)
        table[self.slots] = self.ids
        return table[slots_HW]

    def identities(self, slots_HW: np.ndarray, group: int) -> np.ndarray:
        """Convert slots to identities of a group, int32; other groups' objects become 0."""
        local = slots_HW - group * self.group_size
        return np.where((local > 0) & (local <= self.group_size), local, 0).astype(np.int32)


def resize_nearest(x_HW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a map of ids or slots by nearest-neighbor interpolation."""
    if x_HW.shape == size:
        return x_HW
    y, x = (
        np.minimum(np.floor(np.arange(out, dtype=np.float32) * np.float32(old / out)).astype(np.int64), old - 1)
        for old, out in zip(x_HW.shape, size, strict=True)
    )
    return x_HW[y[:, None], x]


def separate_neighbors(ids_HW: np.ndarray, ids: list[int], group_size: int, room: int) -> list[int]:
    """Order objects so that neighbors get identities of different groups.

    A group sees the objects of other groups as background, which a network confuses with an object less often than
    another identity. From the largest to the smallest, each object joins the group with the fewest of its neighbors.

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
    contacts, areas = _contacts(ids_HW, ids)
    near = np.zeros((len(ids), len(rooms)))
    members: list[list[int]] = [[] for _ in rooms]
    for i in np.argsort(-areas, kind="stable").tolist():
        free = [g for g, most in enumerate(rooms) if len(members[g]) < most]
        group = min(free, key=lambda g: (near[i, g], len(members[g])))
        members[group].append(i)
        near[:, group] += contacts[i]
    return [ids[i] for group in members for i in sorted(group)]


def _contacts(ids_HW: np.ndarray, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Count the pairs of neighboring pixels of every two objects, [n, n], and the objects' areas in pixels, [n]."""
    count = len(ids)
    place = np.searchsorted(ids, ids_HW).clip(max=count - 1)
    index_HW = np.where(np.asarray(ids)[place] == ids_HW, place + 1, 0)  # 0: not one of these objects
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
