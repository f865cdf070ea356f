"""DeAOT network: AOT with a visual and an identity branch (Yang and Yang, NeurIPS 2022, arXiv 2210.09782).

Names of tensors are those of the published checkpoints.

Shapes: as in AOT; V value channels of one branch (expansion * C), C / 2 channels of query and key per head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.configs.models.deaot import DeAOTConfig
from voskit.networks.layers.attention import GatedLocalAttention, GatedMemoryAttention, GatedSelfAttention
from voskit.networks.layers.maps import one_by_one, to_sequence
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.layers.norms import DropPath, GroupNorm
from voskit.networks.models.aot import AOT, LayerState, Propagated
from voskit.networks.models.base import Network


class GatedPropagationModule(nn.Module):
    """A layer of DeAOT (section 4.2): gated long-term, short-term and self-propagation of both branches.

    In the first layer the identity branch is empty: its values come from the identities alone and its gates are open.
    """

    def __init__(self, config: DeAOTConfig, first: bool) -> None:
        super().__init__()
        dim = config.embed_dim
        self.key_dim, self.value_dim = dim // 2 * config.attention_heads, dim * config.expansion
        self.norm1 = nn.LayerNorm(dim)
        self.linear_QV = nn.Linear(dim, self.key_dim + self.value_dim)
        self.linear_U = nn.Linear(dim, self.value_dim)
        self.id_norm1 = None if first else nn.LayerNorm(dim)
        self.linear_ID_V = nn.Linear(dim if first else 2 * dim, self.value_dim)
        self.linear_ID_U = None if first else nn.Linear(dim, self.value_dim)
        self.long_term_attn = GatedMemoryAttention(
            2 * self.value_dim,
            2 * dim,
            config.attention_heads,
            config.top_k,
            config.trained_positions,
            config.distance_penalty,
        )
        self.short_term_attn = GatedLocalAttention(
            self.key_dim, 2 * self.value_dim, 2 * dim, config.attention_heads, config.window, config.local_attention
        )
        self.norm2 = nn.LayerNorm(dim)
        self.id_norm2 = nn.LayerNorm(dim)
        self.self_attn = GatedSelfAttention(
            dim, dim // 2 * config.self_heads, self.value_dim, config.self_heads, config.self_top_k
        )
        self.drop_path = DropPath(config.drop_path)

    def forward(
        self,
        x_GLC: Tensor,
        size: tuple[int, int],
        long_term: Sequence[MemoryPart],
        short_term: MemoryPart | None,
        ids_GLC: Tensor | None = None,
    ) -> tuple[Tensor, LayerState]:
        """Propagate from the memories. With ``ids_GLC`` the frame is a reference, which attends to itself only.

        The visual branch is the first half of the channels, the identity branch the second one.
        """
        visual, branch = x_GLC.chunk(2, -1)
        y = self.norm1(visual)
        query, value = self.linear_QV(y).split((self.key_dim, self.value_dim), -1)
        gate = F.silu(self.linear_U(y))
        state: LayerState = (query, F.silu(value))
        if self.id_norm1 is not None:
            state = (*state, self.id_norm1(branch))
        if ids_GLC is not None:
            short_term = self.remember(state, ids_GLC)
            long_term = [short_term]
        assert short_term is not None
        if self._reads_visual_once(query, long_term, short_term):
            long = self.long_term_attn.propagate_halves(query, long_term[0], gate, size)
            short = self.short_term_attn.propagate_halves(query, short_term, gate, size)
            read_visual, *read_ids = (x + y for x, y in zip(long, short, strict=True))
            read: Sequence[Tensor] = [read_visual + ids for ids in read_ids]
        else:
            id_gate = torch.ones_like(gate) if self.linear_ID_U is None else F.silu(self.linear_ID_U(state[2]))
            gate = torch.cat([gate, id_gate], -1)
            long_read = self.long_term_attn(query, long_term, gate, size)
            read = one_by_one(long_read + self.short_term_attn(query, short_term, gate, size))
        before = [x_GLC] * len(read) if len(read) == 1 or len(x_GLC) == 1 else x_GLC.split(1)
        groups = [self._propagate_within(x + y, size) for x, y in zip(before, read, strict=True)]
        return groups[0] if len(groups) == 1 else torch.cat(groups), state

    def _reads_visual_once(self, query_GLC: Tensor, long_term: Sequence[MemoryPart], short_term: MemoryPart) -> bool:
        """Return True if visual values are the same for all groups, and reading them once is faster.

        They are the same in the first layer, for groups that began at one frame.
        """
        return (
            self.id_norm1 is None
            and self.long_term_attn.heads == 1
            and len(one_by_one(short_term.value)) > 1
            and len(query_GLC) == len(long_term) == 1
            and all(len(part.key) == 1 for part in (*long_term, short_term))
        )

    def _propagate_within(self, x_GLC: Tensor, size: tuple[int, int]) -> Tensor:
        """Add what self-propagation of both branches reads."""
        visual, branch = x_GLC.chunk(2, -1)
        return x_GLC + self.drop_path(self.self_attn(self.norm2(visual), self.id_norm2(branch), size))

    def remember(self, state: LayerState, ids_GLC: Tensor) -> MemoryPart:
        """Make a memory: keys are the queries, values of both branches are concatenated."""
        query, value = state[:2]
        ids = F.silu(self.linear_ID_V(torch.cat([*state[2:], ids_GLC], -1)))
        return MemoryPart(query, torch.cat([value.expand(ids.shape[0], -1, -1), ids], -1))


class DualBranchGPM(nn.Module):
    """A stack of gated propagation modules, without position embedding."""

    def __init__(self, config: DeAOTConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GatedPropagationModule(config, i == 0) for i in range(config.num_layers))
        self.decoder_norms = nn.ModuleList([GroupNorm(2 * config.embed_dim, groups=2)])

    def forward(
        self,
        x_BCHW: Tensor,
        long_term: Sequence[Sequence[MemoryPart]],
        short_term: Sequence[MemoryPart],
        ids_GLC: Tensor | None = None,
    ) -> Propagated:
        """Run all layers on a projected feature; memories have one entry per layer."""
        size = (x_BCHW.shape[2], x_BCHW.shape[3])
        x = to_sequence(x_BCHW)
        x = F.pad(x, (0, x.shape[2]))  # the identity branch is empty
        states = []
        for i, layer in enumerate(self.layers):
            long, short = ([], None) if ids_GLC is not None else (long_term[i], short_term[i])
            x, state = layer(x, size, long, short, ids_GLC)
            states.append(state)
        return Propagated([self.decoder_norms[0](x)], states)


class DeAOT(AOT):
    """DeAOT as functions between tensors: AOT with another transformer and normalized identity embeddings."""

    def __init__(self, config: DeAOTConfig) -> None:
        Network.__init__(self, config)
        self._build(config, decoder_channels=2 * config.embed_dim)
        self.LSTT = DualBranchGPM(config)
        self.id_norm = nn.LayerNorm(config.embed_dim)
        self._initialize()

    def encode_ids(self, ids_GHW: Tensor) -> Tensor:
        return self.id_norm(super().encode_ids(ids_GHW))
