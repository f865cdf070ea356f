"""AOST network: AOT whose depth is chosen at run time (Yang et al., TPAMI 2024, arXiv 2203.11442).

Names of tensors are those of the published layout.

Shapes: as in AOT; N heads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from voskit.configs.models.aost import AOSTConfig
from voskit.configs.models.aot import AOTConfig
from voskit.networks.decoders.fpn import ScalableFPNDecoder
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.layers.position import sine_position
from voskit.networks.models.aot import AOT, Features, LayerStack, LayerState, LSTTLayer, Propagated
from voskit.networks.models.base import Network, Supervised

_NUMBERED = re.compile(r"^(LSTT\.layers|LSTT\.decoder_norms|decoder\.conv_in)\.(\d+)\.")
"""Tensors that belong to one layer or depth, with its number from 0 on."""


class SLSTTLayer(LSTTLayer):
    """A layer of the scalable long short-term transformer, with layer-wise identity attention.

    Each layer has its own projection of the identity embedding: to a gate for each head's key and to a term that is
    added to the value.
    """

    def _build_projections(self, config: AOTConfig) -> None:
        self.dim, self.heads = config.embed_dim, config.attention_heads
        self.linear_QV = nn.Linear(self.dim, 2 * self.dim)
        self.linear_ID_KV = nn.Linear(self.dim, self.heads + self.dim)

    def project(self, y_GLC: Tensor) -> LayerState:
        """Return the query and the value without identities."""
        query, value = self.linear_QV(y_GLC).chunk(2, -1)
        return query, value

    def remember(self, state: LayerState, ids_GLC: Tensor) -> MemoryPart:
        """Make a memory: keys are the queries, each head gated by 1 + tanh; identities are added to the values."""
        query, value = state
        gate_GLN, ids = self.linear_ID_KV(ids_GLC).split((self.heads, self.dim), -1)
        key = query.unflatten(-1, (self.heads, -1)) * (1 + gate_GLN.tanh()).unsqueeze(-1)
        return MemoryPart(key.flatten(2), value + ids)


class SLSTT(LayerStack):
    """The scalable long short-term transformer."""

    def __init__(self, config: AOSTConfig) -> None:
        super().__init__([SLSTTLayer(config) for _ in config.depths], config.embed_dim)


class AOST(AOT):
    """AOST as functions between tensors.

    ``propagate`` runs one layer per memory that it gets; ``decode`` chooses the input convolution by the number of
    outputs.
    """

    config: AOSTConfig

    def __init__(self, config: AOSTConfig) -> None:
        Network.__init__(self, config)
        self._build(config, decoder_channels=config.embed_dim * (config.depths[-1] + 1))
        self.LSTT = SLSTT(config)
        self.id_norm = nn.LayerNorm(config.embed_dim)
        self._initialize()

    def _build_decoder(self, channels: int, identities: int) -> ScalableFPNDecoder:
        config = self.config
        return ScalableFPNDecoder(
            channels // config.embed_dim - 1,
            identities,
            self.encoder.channels[:3],
            config.embed_dim,
            align_corners=config.align_corners,
        )

    @property
    def decay_encoder_norms(self) -> bool:
        return self.config.decay_encoder_norms

    def encode_ids(self, ids_GHW: Tensor) -> Tensor:
        """Embed identities as AOT does, then normalize them, also at positions that see only the background."""
        return self.id_norm(super().encode_ids(ids_GHW))

    def deepen(
        self, hidden_GLC: Tensor, ids_GLC: Tensor, size: tuple[int, int], layers: range
    ) -> tuple[list[MemoryPart], Tensor]:
        """Make memories of a frame for layers that weren't run when it was propagated.

        A layer's memory depends on the output of the layer before it. So the first of these layers gets the memory that
        it would have had. Further ones take the frame as a reference: it attends to itself, with its predicted mask.

        Args:
            hidden_GLC: output of the layer before the first of ``layers``.
            ids_GLC: identity embedding of the frame's mask.
            size: height and width of the map.
            layers: numbers of the layers, from 0 on.

        Returns:
            memories of these layers, and the output of the last one.
        """
        position = sine_position(*size, hidden_GLC.shape[2], hidden_GLC.device)
        memories = []
        for layer in list(self.layers)[layers.start : layers.stop]:
            hidden_GLC, state = layer(hidden_GLC, position, size, (), None, ids_GLC)
            memories.append(layer.remember(state, ids_GLC))
        return memories, hidden_GLC

    def supervise(self, propagated: Propagated, features: Features) -> list[Supervised]:
        """Return the logits of every depth from one pass, weighted 1 : 2 : 4 (scalable supervision)."""
        total = 2 ** len(propagated.outputs) - 1
        return [
            Supervised(2 ** (k - 1) / total, self.decode(propagated._replace(outputs=propagated.outputs[:k]), features))
            for k in range(1, len(propagated.outputs) + 1)
        ]

    def ignored_tensors(self, shapes: Mapping[str, torch.Size]) -> dict[str, str]:
        """Return the tensors of deeper layers than this network was built with."""
        own, depth = self.state_dict(), self.config.depths[-1]
        ignored = {}
        for name, shape in shapes.items():
            found = _NUMBERED.match(name)
            if found is None or not depth <= int(found[2]) < self.config.num_layers:
                continue
            like = own.get(f"{found[1]}.0.{name[found.end() :]}")
            if like is None:
                continue
            expected = list(like.shape)
            if found[1] == "decoder.conv_in" and like.ndim > 1:
                expected[1] = self.config.embed_dim * (int(found[2]) + 2)
            if expected == list(shape):
                ignored[name] = f"of depths above {depth}"
        return ignored
