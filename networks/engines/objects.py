"""Object slots: the assignment of the user's object ids to the identities of a network."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_labels(labels_HW: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize ids or slots (int32, up to 65535) by nearest-neighbor interpolation."""
    if labels_HW.shape == size:
        return labels_HW
    return F.interpolate(labels_HW[None, None].float(), size, mode="nearest")[0, 0].int()


def has_objects(mask_HW: Tensor | None, if_empty: bool) -> bool:
    """Return True for a mask that contains an object, and with ``if_empty`` for an empty mask."""
    return mask_HW is not None and (if_empty or bool((mask_HW > 0).any()))


class ObjectSlots:
    """Slots of objects: identities, numbered consecutively over all groups.

    With a ``group_size`` of 10, slots 1 to 10 belong to the first group and 11 to 20 to the second. A slot is assigned
    only once, so that the memory of a deleted object isn't mistaken for a new one. When all objects of a group are
    deleted, the group and its slots are removed.

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
        """Remove objects.

        Returns:
            the old numbers of the groups that remain; they are renumbered in this order.

        Raises:
            ValueError: an id doesn't exist.
        """
        # slots of removed groups disappear, so later groups move down by whole groups; within a group, slots of
        # deleted objects stay unused
        gone = set(ids)
        if unknown := sorted(gone - self._slots.keys()):
            raise ValueError(f"there is no object {unknown[0]}; the objects are {self.ids}")
        self._slots = {i: slot for i, slot in self._slots.items() if i not in gone}
        before, size = self.groups, self.group_size
        stay = sorted({(slot - 1) // size for slot in self._slots.values()})
        moved = {old: new for new, old in enumerate(stay)}
        if (stay and stay[-1] < before - 1) or not stay:
            self._assigned = before * size  # the last group was removed: the one before it is full
        self._assigned -= (before - len(stay)) * size
        self._slots = {i: moved[(s - 1) // size] * size + (s - 1) % size + 1 for i, s in self._slots.items()}
        return stay

    def to_slots(self, ids_HW: Tensor) -> Tensor:
        """Convert the user's ids to slots, int32; unknown ids become 0."""
        values, inverse = torch.unique(ids_HW, return_inverse=True)
        table = torch.tensor([self._slots.get(v, 0) for v in values.tolist()], dtype=torch.int32, device=ids_HW.device)
        return table[inverse]

    def split_groups(self, slots_HW: Tensor) -> Tensor:
        """Convert slots to identities 0 to ``group_size`` of each group, [G, H, W]; other groups' objects become 0."""
        group = torch.arange(self.groups, device=slots_HW.device)[:, None, None]
        local = slots_HW - group * self.group_size
        return local.where((local > 0) & (local <= self.group_size), 0)
