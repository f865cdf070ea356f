"""Working and long-term memory: recent frames, and prototypes that replace older ones (XMem, section 3.3).

Any family can use it; its ``Matching`` defines the similarity.

Shapes: K objects or groups, L positions of a frame, M elements (prototypes, then the positions of frames), C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from voskit.configs.models.base import PrototypeConfig
from voskit.networks.memory.bank import NO_QUALITY
from voskit.networks.memory.matching import Columns, Matching
from voskit.networks.memory.policies import MemoryPolicy, StoredFrame, asks_for
from voskit.networks.memory.table import Table
from voskit.networks.ops.top_k import add_up_weights, read_sparse, top_k_weights

if TYPE_CHECKING:
    from voskit.networks.engines.quality import ObjectQuality

_CHUNK = 2**24  # maximum number of similarities in memory at a time
_NO_LIFE = 1e-7  # life of an element before its first read, so that its usage is 0 and not 0 / 0


@dataclass(frozen=True)
class PrototypePolicy:
    """Rules of consolidation: when it happens, which positions become prototypes, and which prototypes are dropped."""

    max_frames: int
    """Number of frames that triggers a consolidation."""
    min_frames: int
    """Number of frames that remain after it: the first one and the latest ones."""
    max_prototypes: int
    """Maximum number of prototypes."""
    new_prototypes: int
    """Number of prototypes that a consolidation creates."""
    count_usage: bool = True
    """Drop the least used prototypes; False: the oldest ones."""

    @classmethod
    def of(cls, config: PrototypeConfig, policy: MemoryPolicy | None = None) -> PrototypePolicy | None:
        """Return the policy that a config describes; None if it has no long-term memory.

        Args:
            config: ``max_memory_frames`` lowers the number of frames that remain.
            policy: memory policy chosen by the user.

        Raises:
            ValueError: the config has prototypes, whose memory couldn't keep the policy's bound.
        """
        if not config.enable_long_term:
            return None
        if policy is not None:
            raise ValueError(
                f"policy {policy} can't bound a memory with prototypes, which has its own replacement rule: "
                "set enable_long_term=False, or leave the policy out and set max_memory_frames"
            )
        most, least = config.max_mid_term_frames, config.min_mid_term_frames
        if config.max_memory_frames is not None:
            most = min(most, config.max_memory_frames + 1)
            least = min(least, most - 1)
        elements, new, count = (
            config.max_long_term_elements,
            config.num_prototypes,
            config.enable_long_term_count_usage,
        )
        return cls(most, least, elements, new, count)

    def candidates(self, frames: Sequence[StoredFrame], begins: Iterable[int]) -> list[int]:
        """Return the places of the frames that become prototypes now, empty before ``max_frames`` is reached.

        The first frame, the latest ones and the frames at which objects begin (with their reference masks) are kept.
        """
        if len(frames) < self.max_frames:
            return []
        begun = set(begins)
        middle = range(1, len(frames) - (self.min_frames - 1))
        return [place for place in middle if frames[place].frame not in begun]

    def staying(self, usage_M: Tensor) -> Tensor:
        """Return a bool for each prototype, True for those that are kept when new ones are added.

        As published, ties with the most used dropped prototype are dropped, too.

        Args:
            usage_M: usage of each prototype, the newest ones first.
        """
        surplus = len(usage_M) - (self.max_prototypes - self.new_prototypes)
        if surplus <= 0:
            return torch.ones_like(usage_M, dtype=torch.bool)
        if not self.count_usage:
            return torch.arange(len(usage_M), device=usage_M.device) < len(usage_M) - surplus
        return usage_M > usage_M.kthvalue(surplus).values

    def chosen(self, usage_N: Tensor) -> Tensor:
        """Return the numbers of the candidates that become prototypes: the most used ones."""
        return usage_N.topk(min(self.new_prototypes, len(usage_N))).indices


class PrototypeMemory:
    """Working memory of frames, with an optional long-term memory of prototypes.

    Objects may be added and deleted at any time. Each element belongs to a frame (a prototype to the frame that it was
    picked from), and an object reads only elements of frames since it was added. As published, usage is computed from
    the reads of the objects that were added first. When all of these are deleted, the next oldest objects take their
    place: counts continue, and elements that no remaining object reads are dropped.

    Args:
        matching: similarity of the family.
        frames: which frame a new one replaces; used only without prototypes, which have rules of their own.
        prototypes: when frames become prototypes; None: never.
        block: minimum number of frames by which the allocation grows.
    """

    def __init__(
        self, matching: Matching, frames: MemoryPolicy, prototypes: PrototypePolicy | None = None, block: int = 4
    ) -> None:
        self.matching = matching
        self.policy = frames
        self.prototype_policy = prototypes
        self.block = block
        self.clear()

    def clear(self) -> None:
        """Drop everything and free the memory."""
        self.frames: list[StoredFrame] = []
        self.begins: list[int] = []
        self._table = Table(self.block)
        self._length = 0

    @property
    def nbytes(self) -> int:
        """Number of allocated bytes."""
        return self._table.nbytes

    @property
    def prototypes(self) -> int:
        """Number of prototypes."""
        return len(self._table) - len(self.frames) * self._length

    def __getitem__(self, name: str) -> Tensor:
        """Return a view of a column, [K or 1, M, C], prototypes first."""
        return self._table[name]

    def write(
        self,
        columns: Columns,
        frame: int,
        reference: bool = False,
        *,
        quality: Mapping[int, ObjectQuality] = NO_QUALITY,
    ) -> None:
        """Store a frame, and consolidate old frames to prototypes if their number has reached the limit.

        Args:
            columns: the columns that the matching compares and reads, [K or 1, L, C]. The read column may have more
                rows than before, for objects that begin at this frame.
            frame: number of the frame in the video.
            reference: the user gave the frame's mask.
            quality: see :class:`~voskit.networks.memory.policies.StoredFrame`.
        """
        read = self.matching.averaged[0]
        objects = columns[read].shape[0]
        if not self.frames:
            self._length = columns[read].shape[1]
            self._table.block = self.block * self._length
        elif objects > len(self.begins):
            self._table.widen_batch(read, objects - len(self.begins))
        new = StoredFrame(frame, reference, quality=dict(quality))
        place = len(self.frames) if self.prototype_policy else self.policy.place(self.frames, new)
        self.begins += [frame] * (objects - len(self.begins))
        if place is None:
            return
        if place < len(self.frames):
            self._drop_frames([place])
        like = columns[read].new_zeros((1, self._length, 1), dtype=torch.float32)
        book = {"frame": torch.full_like(like, frame), "use": like, "life": torch.full_like(like, _NO_LIFE)}
        self._table.append({**columns, **book})
        self.frames.append(new)
        self._consolidate()

    def read(self, query: Columns, top_k: int) -> Tensor:
        """Read the ``top_k`` most similar elements for each position -> [K, L, C], and count their usage.

        All objects share the similarities; each softmax is over the elements that its objects may read.
        """
        value = self._table[self.matching.averaged[0]]
        frame_M = self._table["frame"][0, :, 0]
        positions = query["key"].shape[1]
        memory = {name: self._table[name] for name in self._table.columns}
        out = value.new_empty(len(value), positions, value.shape[2])
        used = torch.zeros(len(self._table), device=value.device)
        rows = max(1, _CHUNK // len(self._table))
        for first in range(0, positions, rows):
            part = slice(first, first + rows)
            similarity = self.matching.similarity({n: x[:, part] for n, x in query.items()}, memory)[:, 0]
            for own in self._groups():
                known = similarity
                if own.start > 0:
                    known = similarity.masked_fill(frame_M < self.begins[own.start], -torch.inf)
                weights, indices = (x[0] for x in top_k_weights(known, top_k))
                out[own, part] = read_sparse(weights, indices, value[own])
                if own.start == 0:
                    used += add_up_weights(weights, indices, len(used))
        self._count(used)
        return out

    def count_usage(self, query: Columns) -> None:
        """Record a read of all elements done elsewhere, by the first object or group, averaged over heads."""
        rows = max(1, _CHUNK // (len(self._table) * self.matching.heads))
        memory = {name: self._table[name][:1] for name in self._table.columns}
        used = torch.zeros(len(self._table), device=memory["use"].device)
        for first in range(0, query["key"].shape[1], rows):
            part = {n: x[:1, first : first + rows] for n, x in query.items()}
            used += self.matching.similarity(part, memory)[0].softmax(2).mean(0).sum(0)
        self._count(used)

    def keep_objects(self, objects: Sequence[int]) -> None:
        """Keep only these objects (or groups), at least one, and the elements that they read."""
        kept = torch.as_tensor(objects, device=self._table["frame"].device)
        for name in self._table.columns:
            if not self._table[name].shape[0] == 1 < len(self.begins):
                self._table.keep_batch(name, kept)
        self.begins = [self.begins[i] for i in objects]
        oldest, pivot = min(self.begins), self.prototypes
        self.frames = [f for f in self.frames if f.frame >= oldest]
        self._table.keep(self._table["frame"][0, :, 0] >= oldest, pivot)

    def _groups(self) -> list[slice]:
        """Return the ranges of objects that began at the same frame; their rows are adjacent."""
        starts = [i for i, begin in enumerate(self.begins) if i == 0 or begin != self.begins[i - 1]]
        return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(self.begins)], strict=True)]

    def _count(self, used_M: Tensor) -> None:
        """Add a read to the usage counts of the elements, or of the frames for a policy that needs it."""
        if self.prototype_policy is None:
            if asks_for(self.policy, "needs_usage"):
                from voskit.networks.memory.usage import counted

                shares = used_M.unflatten(0, (len(self.frames), -1)).sum(1) / used_M.sum()
                self.frames = counted(self.frames, shares.tolist())
            return
        first = 0 if self.prototype_policy.count_usage else self.prototypes
        self._table["use"][0, first:, 0] += used_M[first:]
        self._table["life"][0, first:, 0] += 1

    def usage(self) -> Tensor:
        """Return the usage of each element per read since it was written, [M]."""
        return (self._table["use"] / self._table["life"])[0, :, 0]

    def _drop_frames(self, places: Sequence[int]) -> None:
        wanted = torch.ones(len(self._table), dtype=torch.bool, device=self._table["frame"].device)
        for place in places:
            first = self.prototypes + place * self._length
            wanted[first : first + self._length] = False
        self._table.keep(wanted, self.prototypes)
        self.frames = [f for place, f in enumerate(self.frames) if place not in places]

    def _consolidate(self) -> None:
        """Turn the frames between the first and the latest ones into prototypes, if there are enough of them.

        The table holds prototypes, then frames. Candidates are copied out before rows are removed; removal closes up
        towards the border between both kinds, so new prototypes find free rows in front.
        """
        policy = self.prototype_policy
        places = policy.candidates(self.frames, self.begins) if policy else []
        if policy is None or not places:
            return
        usage = self.usage()
        wanted = torch.ones_like(usage, dtype=torch.bool)
        wanted[: self.prototypes] = policy.staying(usage[: self.prototypes])
        starts = torch.tensor(places, device=usage.device) * self._length + self.prototypes
        rows = (starts[:, None] + torch.arange(self._length, device=usage.device)).flatten()
        candidates = {name: self._table[name][:, rows] for name in self._table.columns}
        made = self._prototypes(candidates, policy.chosen(usage[rows]))
        wanted[rows] = False
        pivot = self.prototypes
        self.frames = [f for place, f in enumerate(self.frames) if place not in places]
        self._table.keep(wanted, pivot)
        self._table.prepend(made)

    def _prototypes(self, candidates: Mapping[str, Tensor], chosen: Tensor) -> dict[str, Tensor]:
        """Compute the columns of new prototypes: compared columns are copied, read ones are means of the candidates.

        The weights of a mean are the softmax of the similarities between the prototype and the candidates.
        """
        out = {name: x[:, chosen] for name, x in candidates.items()}
        similarity = self.matching.similarity(out, candidates)
        frame = candidates["frame"][0, :, 0]
        for name in self.matching.averaged:
            x = candidates[name]
            parts = []
            for own in self._groups() if x.shape[0] > 1 else [slice(0, 1)]:
                # prototypes of frames before these objects began have no candidates for them: their mean is 0
                known = similarity.masked_fill(frame < self.begins[own.start], -torch.inf)
                weights = known[own if len(known) > 1 else slice(None)].softmax(3).nan_to_num(0)
                heads = x[own].unflatten(2, (weights.shape[1], -1)).transpose(1, 2).float()
                parts.append((weights @ heads).transpose(1, 2).flatten(2))
            out[name] = torch.cat(parts).to(x.dtype)
        out["use"], out["life"] = torch.zeros_like(out["use"]), torch.full_like(out["life"], _NO_LIFE)
        return out
