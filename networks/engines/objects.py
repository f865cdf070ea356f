"""Users' object ids against the identities of a network's bank."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_labels(labels_HW: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring ids or slots (int32, up to 65535) to another size by nearest-neighbour interpolation."""
    if labels_HW.shape == size:
        return labels_HW
    return F.interpolate(labels_HW[None, None].float(), size, mode="nearest")[0, 0].int()


def has_objects(mask_HW: Tensor | None, if_empty: bool) -> bool:
    """Whether a mask was given that shows an object; one that shows none says something ``if_empty``."""
    return mask_HW is not None and (if_empty or bool((mask_HW > 0).any()))


class ObjectSlots:
    """Which object has which identity.

    Identities are numbered through over all groups of ``group_size``: slots 1 to 10 are the first group's, 11 to 20 the
    second's. A slot is given once: what is in memory of a deleted object must not pass for a new one. When all objects
    of a group are deleted, the group goes, and its slots with it.
    """

    def __init__(self, group_size: int) -> None:
        self.group_size = group_size
        self._slots: dict[int, int] = {}
        self._given = 0

    @property
    def ids(self) -> list[int]:
        """The objects' ids in the order of their slots."""
        return list(self._slots)

    @property
    def slots(self) -> list[int]:
        """The objects' slots, ascending."""
        return list(self._slots.values())

    @property
    def groups(self) -> int:
        """Number of groups."""
        return -(-self._given // self.group_size)

    @property
    def room(self) -> int:
        """Slots of the last group that weren't given yet."""
        return self.groups * self.group_size - self._given

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, ids: Iterable[int]) -> None:
        """Give slots to the ids that have none yet, in their order."""
        for i in ids:
            if i not in self._slots:
                self._given += 1
                self._slots[i] = self._given

    def delete(self, ids: Iterable[int]) -> list[int]:
        """Take ids out.

        Returns:
            the groups that stay, by their old numbers; later groups move up.

        Raises:
            ValueError: an id that isn't there.
        """
        gone = set(ids)
        if unknown := sorted(gone - self._slots.keys()):
            raise ValueError(f"there is no object {unknown[0]}; the objects are {self.ids}")
        self._slots = {i: slot for i, slot in self._slots.items() if i not in gone}
        before, size = self.groups, self.group_size
        stay = sorted({(slot - 1) // size for slot in self._slots.values()})
        moved = {old: new for new, old in enumerate(stay)}
        if (stay and stay[-1] < before - 1) or not stay:
            self._given = before * size  # the last group went: the one before it is full
        self._given -= (before - len(stay)) * size
        self._slots = {i: moved[(s - 1) // size] * size + (s - 1) % size + 1 for i, s in self._slots.items()}
        return stay

    def to_slots(self, ids_HW: Tensor) -> Tensor:
        """Users' ids -> slots (int32); ids that aren't known become 0."""
        values, inverse = torch.unique(ids_HW, return_inverse=True)
        table = torch.tensor([self._slots.get(v, 0) for v in values.tolist()], dtype=torch.int32, device=ids_HW.device)
        return table[inverse]

    def split_groups(self, slots_HW: Tensor) -> Tensor:
        """Slots -> identities 0 to ``group_size`` of each group, [G, H, W]; other groups' objects are background."""
        group = torch.arange(self.groups, device=slots_HW.device)[:, None, None]
        local = slots_HW - group * self.group_size
        return local.where((local > 0) & (local <= self.group_size), 0)
