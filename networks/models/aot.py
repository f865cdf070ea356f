"""AOT network: Associating Objects with Transformers (Yang et al., NeurIPS 2021, arXiv 2106.02638).

Names of tensors are those of the published checkpoints.

Shapes: G id groups on the batch axis (1 if they share a tensor), L = h * w positions at stride 16, C embedding
channels, K = max_objects + 1 identities (0 is the background), H W the network's input size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from voskit.configs.models.aot import AOTConfig, IdentityBankConfig
from voskit.networks.decoders.fpn import FPNDecoder
from voskit.networks.encoders import Encoder, build_encoder
from voskit.networks.layers.attention import LocalAttention, MemoryAttention, SelfAttention
from voskit.networks.layers.maps import to_map, to_sequence
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.layers.norms import DropPath, GroupNormGELUDepthwise
from voskit.networks.layers.position import sine_position
from voskit.networks.models.base import Network, Supervised
from voskit.networks.ops.identity_patches import embed_identities

LayerState = tuple[Tensor, ...]
"""State of a layer for a frame whose mask isn't known yet; ``remember`` turns it into a memory."""


class Features(NamedTuple):
    """An encoded image that all id groups share, or one image for each group."""

    maps: list[Tensor]
    """The encoder's maps at strides 4, 8 and 16, [1 or G, C_i, H_i, W_i]."""
    projected: Tensor
    """[1 or G, C, h, w]."""


class Propagated(NamedTuple):
    """Output of the transformer for a frame."""

    outputs: list[Tensor]
    """Normalized outputs for the decoder, [G, L, C'] each."""
    states: list[LayerState]
    """State of each layer."""
    hidden: Tensor | None = None
    """Output of the last layer before its norm, the input of a deeper layer; None: not kept."""


class LSTTLayer(nn.Module):
    """A layer of the long short-term transformer (section 4.2)."""

    def __init__(self, config: AOTConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.norm1 = nn.LayerNorm(dim)
        self._build_projections(config)
        self.long_term_attn = MemoryAttention(
            dim, config.attention_heads, config.top_k, config.trained_positions, config.distance_penalty
        )
        self.short_term_attn = LocalAttention(dim, config.attention_heads, config.window, config.local_attention)
        self.norm2 = nn.LayerNorm(dim)
        self.self_attn = SelfAttention(dim, config.self_heads)
        self.norm3 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, config.ffn_dim)
        self.activation = GroupNormGELUDepthwise(config.ffn_dim)
        self.linear2 = nn.Linear(config.ffn_dim, dim)
        self.drop_path = DropPath(config.drop_path)

    def _build_projections(self, config: AOTConfig) -> None:
        """Build the layers that ``project`` and ``remember`` use."""
        self.linear_Q = nn.Linear(config.embed_dim, config.embed_dim)
        self.linear_V = nn.Linear(config.embed_dim, config.embed_dim)

    def forward(
        self,
        x_GLC: Tensor,
        position_1LC: Tensor,
        size: tuple[int, int],
        long_term: Sequence[MemoryPart],
        short_term: MemoryPart | None,
        ids_GLC: Tensor | None = None,
    ) -> tuple[Tensor, LayerState]:
        """Propagate from the memories. With ``ids_GLC`` the frame is a reference, which attends to itself only."""
        y = self.norm1(x_GLC)
        x = x_GLC + self.drop_path(self.self_attn(y + position_1LC, y + position_1LC, y))
        y = self.norm2(x)
        state = self.project(y)
        if ids_GLC is not None:
            short_term = self.remember(state, ids_GLC)
            long_term = [short_term]
        assert short_term is not None
        x = x + self.long_term_attn(state[0], long_term, size) + self.short_term_attn(state[0], short_term, size)
        x = x + self.drop_path(self.linear2(self.activation(self.linear1(self.norm3(x)), size)))
        return x, state

    def project(self, y_GLC: Tensor) -> LayerState:
        """Return the query and the features that become a value once the identities are known."""
        return self.linear_Q(y_GLC), y_GLC

    def remember(self, state: LayerState, ids_GLC: Tensor) -> MemoryPart:
        """Make a memory: keys are the queries, identities are added to the values."""
        query, y = state
        return MemoryPart(query, self.linear_V(y + ids_GLC))


class LayerStack(nn.Module):
    """A stack of layers, each with a norm that feeds the decoder."""

    def __init__(self, layers: Sequence[LSTTLayer], dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.decoder_norms = nn.ModuleList(nn.LayerNorm(dim) for _ in layers)

    def forward(
        self,
        x_BCHW: Tensor,
        long_term: Sequence[Sequence[MemoryPart]],
        short_term: Sequence[MemoryPart],
        ids_GLC: Tensor | None = None,
    ) -> Propagated:
        """Run the layers for which ``short_term`` has an entry, on a projected feature; all of them for a reference."""
        size = (x_BCHW.shape[2], x_BCHW.shape[3])
        depth = len(self.layers) if ids_GLC is not None else len(short_term)
        position = sine_position(*size, x_BCHW.shape[1], x_BCHW.device)
        x = to_sequence(x_BCHW)
        outputs, states = [], []
        for i, (layer, norm) in enumerate(zip(self.layers[:depth], self.decoder_norms[:depth], strict=True)):
            long, short = ([], None) if ids_GLC is not None else (long_term[i], short_term[i])
            x, state = layer(x, position, size, long, short, ids_GLC)
            outputs.append(norm(x))
            states.append(state)
        return Propagated(outputs, states, x)


class LSTT(LayerStack):
    """The long short-term transformer."""

    def __init__(self, config: AOTConfig) -> None:
        super().__init__([LSTTLayer(config) for _ in range(config.num_layers)], config.embed_dim)
        # present in every published file and never used
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.embed_dim), requires_grad=False)


class AOT(Network):
    """AOT as functions between tensors; :class:`~voskit.networks.engines.aot.AOTEngine` keeps the state of a video."""

    config: IdentityBankConfig

    def __init__(self, config: AOTConfig) -> None:
        super().__init__(config)
        maps = config.num_layers + 1 if config.decoder_uses_all_layers else 1
        self._build(config, decoder_channels=config.embed_dim * maps)
        self.LSTT: nn.Module = LSTT(config)
        self._initialize()

    def _build(self, config: IdentityBankConfig, decoder_channels: int) -> None:
        """Build everything but the transformer, in which AOT, DeAOT and AOST differ."""
        dim, identities = config.embed_dim, config.max_objects + 1
        self.encoder = build_encoder(
            config.encoder,
            freeze_bn=config.freeze_bn,
            freeze_at=4 if config.freeze_backbone else config.freeze_at,
            drop_path=config.encoder_drop_path,
        )
        if config.freeze_backbone:
            self.encoder.requires_grad_(False)
        self.encoder_projector = nn.Conv2d(self.encoder.channels[-1], dim, 1)
        # for inputs of 16k + 1 pixels, patches overlap by one pixel
        kernel, padding = (17, 8) if config.align_corners else (16, 0)
        self.patch_wise_id_bank = nn.Conv2d(identities, dim, kernel, 16, padding)
        self.decoder = self._build_decoder(decoder_channels, identities)

    def _build_decoder(self, channels: int, identities: int) -> FPNDecoder:
        config = self.config
        return FPNDecoder(
            channels, identities, self.encoder.channels[:3], config.embed_dim, align_corners=config.align_corners
        )

    def _initialize(self) -> None:
        """Set initial values for training from scratch; the encoder has its own."""
        for part in (self.encoder_projector, self.LSTT, self.decoder):
            for parameter in part.parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)
        bank = self.patch_wise_id_bank.weight
        nn.init.orthogonal_(bank.data.view(bank.shape[0], -1).T, gain=bank.shape[-1] ** -2)

    def adapt_checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, str]]:
        """Take the first ``max_objects`` identities of a file that has more."""
        bank, out = state.get("patch_wise_id_bank.weight"), [f"decoder.conv_out.{name}" for name in ("weight", "bias")]
        kept = self.config.max_objects + 1  # with the background
        if bank is None or bank.ndim != 4 or bank.shape[1] <= kept:
            return {}
        text = f"the first {kept - 1} of {bank.shape[1] - 1} identities"
        first = {name: (state[name][:kept], text) for name in out if name in state}
        return {"patch_wise_id_bank.weight": (bank[:, :kept], text), **first}

    @torch.no_grad()
    def keep_identities(self, identities: Sequence[int]) -> None:
        """Reduce the identity bank and the decoder to some identities, which are renumbered from 1 on.

        ``max_objects`` becomes their number; more objects take more groups. After little training, a network confuses
        identities less if there are fewer of them; no published checkpoint needs this.

        Args:
            identities: identities to keep, 1 to ``max_objects``.

        Raises:
            ValueError: an identity that doesn't exist, or a repeated one.
        """
        most = self.config.max_objects
        if not identities or len(set(identities)) < len(identities) or not set(identities) <= set(range(1, most + 1)):
            raise ValueError(f"identities must be different numbers from 1 to {most}, got {list(identities)}")
        rows = [0, *identities]
        bank, out = self.patch_wise_id_bank, self.decoder.conv_out
        assert out.bias is not None
        self._set_identities(bank.weight[:, rows], out.weight[rows], out.bias[rows])

    @torch.no_grad()
    def extend_identities(self, count: int, seed: int = 0) -> None:
        """Extend the identity bank and the decoder to ``count`` identities. The new ones have to be trained.

        A new identity is a copy of an existing one, turned by a random rotation about the mean of the identities: the
        same size and shape in another direction. Those that exist stay as they are.

        Args:
            count: identities of the extended bank, at least ``max_objects``.
            seed: seed of the rotations.

        Raises:
            ValueError: ``count`` is smaller than ``max_objects``.
        """
        most = self.config.max_objects
        if count < most:
            raise ValueError(f"the identity bank already has {most} identities, so it can't be extended to {count}")
        bank, out = self.patch_wise_id_bank, self.decoder.conv_out
        assert out.bias is not None
        generator = torch.Generator().manual_seed(seed)
        sources = [1 + number % most for number in range(count - most)]
        bank_KCN, out_KCN = bank.weight.transpose(0, 1).flatten(2), out.weight.flatten(2)
        bank_KCN = torch.cat([bank_KCN, *(_turned(bank_KCN, source, generator) for source in sources)])
        out_KCN = torch.cat([out_KCN, *(_turned(out_KCN, source, generator) for source in sources)])
        bank_CKSS = bank_KCN.transpose(0, 1).unflatten(2, bank.kernel_size)
        self._set_identities(bank_CKSS, out_KCN[..., None], out.bias[[*range(most + 1), *sources]])

    def _set_identities(self, bank_CKSS: Tensor, weight_KC11: Tensor, bias_K: Tensor) -> None:
        """Replace the rows of the identity bank and of the decoder's last layer."""
        bank, out = self.patch_wise_id_bank, self.decoder.conv_out
        bank.weight, out.weight = nn.Parameter(bank_CKSS.contiguous()), nn.Parameter(weight_KC11)
        out.bias = nn.Parameter(bias_K)
        bank.in_channels = out.out_channels = len(bias_K)
        self.config = self.config.override(max_objects=len(bias_K) - 1)

    @property
    def pretrained_encoders(self) -> dict[str, Encoder]:
        return {"encoder_weights": self.encoder}

    @property
    def has_mobile_encoder(self) -> bool:
        return self.encoder.mobile

    @property
    def layers(self) -> Iterable[Any]:
        """Layers of the transformer."""
        return self.LSTT.get_submodule("layers").children()

    def encode_image(self, image_B3HW: Tensor) -> Features:
        """Encode normalized RGB images."""
        *maps, last = self.encoder(image_B3HW)
        return Features(maps, self.encoder_projector(last))

    def encode_ids(self, ids_GHW: Tensor) -> Tensor:
        """Embed integer identities (0 background, 1 to max_objects, others none) -> [G, L, C]."""
        bank = self.patch_wise_id_bank
        assert bank.bias is not None
        return embed_identities(ids_GHW, bank.weight, bank.bias, stride=bank.stride[0], padding=int(bank.padding[0]))

    def propagate(
        self, features: Features, long_term: Sequence[Sequence[MemoryPart]], short_term: Sequence[MemoryPart]
    ) -> Propagated:
        """Propagate identities from the memories, which have one entry per layer, to a frame."""
        return self.LSTT(features.projected, long_term, short_term)

    def refer(self, features: Features, ids_GLC: Tensor) -> Propagated:
        """Process a reference frame, whose mask is known: it attends to itself only."""
        return self.LSTT(features.projected, (), (), ids_GLC)

    def remember(self, states: Sequence[LayerState], ids_GLC: Tensor) -> list[MemoryPart]:
        """Turn a frame's states into memories once its identities are known, one per layer that was run."""
        return [layer.remember(state, ids_GLC) for layer, state in zip(self.layers, states, strict=False)]

    def decode(self, propagated: Propagated, features: Features) -> Tensor:
        """Decode logits at stride 4 -> [G, K, H / 4, W / 4]."""
        size = (features.projected.shape[2], features.projected.shape[3])
        outputs = [to_map(x, size) for x in propagated.outputs]
        if self.config.decoder_uses_all_layers:
            outputs.insert(0, features.projected.expand(outputs[0].shape[0], -1, -1, -1))
        else:
            outputs = outputs[-1:]
        return self.decoder(torch.cat(outputs, 1), features.maps)

    def supervise(self, propagated: Propagated, features: Features) -> list[Supervised]:
        """Return the supervised logits of a frame at stride 4; the last ones are the prediction."""
        return [Supervised(1.0, self.decode(propagated, features))]


def _turned(x_KCN: Tensor, source: int, generator: torch.Generator) -> Tensor:
    """Rotate identity ``source`` about the mean of all identities, at random in its C channels -> [1, C, N]."""
    channels, mean_CN = x_KCN.shape[1], x_KCN[1:].mean(0)
    rotation = torch.linalg.qr(torch.randn(channels, channels, generator=generator))[0].to(x_KCN)
    return (mean_CN + rotation @ (x_KCN[source] - mean_CN))[None]
