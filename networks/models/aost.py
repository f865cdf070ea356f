"""AOST (Yang et al., TPAMI 2024, arXiv 2203.11442): AOT whose depth is chosen at run time.

Names of tensors are those of the published layout.

Shapes: as in AOT; N heads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from voskit.configs.models.aost import AOSTConfig
from voskit.configs.models.aot import AOTConfig, IdentityBankConfig
from voskit.networks.decoders import ScalableFPNDecoder
from voskit.networks.engines.aost import AOSTEngine
from voskit.networks.layers.position import sine_position
from voskit.networks.memory import MemoryPart, MemoryPolicy
from voskit.networks.models.aot import AOT, Features, LayerStack, LayerState, LSTTLayer, Propagated
from voskit.networks.supervised import Supervised

_NUMBERED = re.compile(r"^(LSTT\.layers|LSTT\.decoder_norms|decoder\.conv_in)\.(\d+)\.")
"""Names of tensors that belong to one depth, and its number from 0 on."""


class SLSTTLayer(LSTTLayer):
    """A layer of the scalable long short-term transformer, with layer-wise identity attention.

    Each layer projects the identity embedding by itself, to a gate of each head's key and a summand of the value.
    """

    def _build_projections(self, config: AOTConfig) -> None:
        self.dim, self.heads = config.embed_dim, config.attention_heads
        self.linear_QV = nn.Linear(self.dim, 2 * self.dim)
        self.linear_ID_KV = nn.Linear(self.dim, self.heads + self.dim)

    def project(self, y_GLC: Tensor) -> LayerState:
        """The query, and the value without identities."""
        query, value = self.linear_QV(y_GLC).chunk(2, -1)
        return query, value

    def remember(self, state: LayerState, ids_GLC: Tensor) -> MemoryPart:
        """Keys are the queries, each head gated by 1 + tanh; values take in the identities by a sum."""
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

    The number of memories that ``propagate`` is given is the depth, and ``decode`` takes the input convolution that
    belongs to the number of outputs.
    """

    config: AOSTConfig

    def __init__(self, config: AOSTConfig) -> None:
        nn.Module.__init__(self)
        self._build(config, decoder_channels=config.embed_dim * (config.depths[-1] + 1))
        self.LSTT = SLSTT(config)
        self.id_norm = nn.LayerNorm(config.embed_dim)
        self._initialise()

    def _build_decoder(self, channels: int, identities: int) -> ScalableFPNDecoder:
        config = self.config
        return ScalableFPNDecoder(
            channels // config.embed_dim - 1,
            identities,
            self.encoder.channels[:3],
            config.embed_dim,
            align_corners=config.align_corners,
        )

    def new_engine(self, config: IdentityBankConfig | None = None, policy: MemoryPolicy | None = None) -> AOSTEngine:
        assert config is None or isinstance(config, AOSTConfig)
        return AOSTEngine(self, config, policy)

    def encode_ids(self, ids_GHW: Tensor) -> Tensor:
        """As in AOT, normed; positions that see the background alone are no exception."""
        return self.id_norm(super().encode_ids(ids_GHW))

    def deepen(
        self, hidden_GLC: Tensor, ids_GLC: Tensor, size: tuple[int, int], layers: range
    ) -> tuple[list[MemoryPart], Tensor]:
        """Make memories of a frame for layers that didn't see it when it was propagated.

        What a layer remembers follows from the output of the layer before it, so the memory of the first of these
        layers is what it would have been. Further ones take the frame as a reference: it attends to itself, with the
        mask that was predicted.

        Args:
            hidden_GLC: output of the layer before the first of ``layers``.
            ids_GLC: identity embedding of the frame's mask.
            size: of the map.
            layers: numbers of the layers, from 0 on.

        Returns:
            memories of these layers, and the output of the last.
        """
        position = sine_position(*size, hidden_GLC.shape[2], hidden_GLC.device)
        memories = []
        for layer in list(self.layers)[layers.start : layers.stop]:
            hidden_GLC, state = layer(hidden_GLC, position, size, (), None, ids_GLC)
            memories.append(layer.remember(state, ids_GLC))
        return memories, hidden_GLC

    def supervise(self, propagated: Propagated, features: Features) -> list[Supervised]:
        """Logits of every depth from one pass, weighted 1 : 2 : 4 (scalable supervision)."""
        total = 2 ** len(propagated.outputs) - 1
        return [
            Supervised(2 ** (k - 1) / total, self.decode(propagated._replace(outputs=propagated.outputs[:k]), features))
            for k in range(1, len(propagated.outputs) + 1)
        ]

    def unneeded_tensors(self, state: Mapping[str, Tensor]) -> dict[str, str]:
        """Tensors of a checkpoint that belong to depths which this network has not -> why they aren't used."""
        own, depth = self.state_dict(), self.config.depths[-1]
        unneeded = {}
        for name, x in state.items():
            found = _NUMBERED.match(name)
            if found is None or not depth <= int(found[2]) < self.config.num_layers:
                continue
            like = own.get(f"{found[1]}.0.{name[found.end() :]}")
            if like is None:
                continue
            expected = list(like.shape)
            if found[1] == "decoder.conv_in" and like.ndim > 1:
                expected[1] = self.config.embed_dim * (int(found[2]) + 2)
            if expected == list(x.shape):
                unneeded[name] = f"of depths above {depth}"
        return unneeded
