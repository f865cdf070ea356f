"""AOT (Yang et al., NeurIPS 2021, arXiv 2106.02638).

Names of tensors are those of the published checkpoints.

Shapes: G id groups on the batch axis (1 where they share a tensor), L = h * w positions at stride 16, C embedding
channels, K = max_objects + 1 identities (0 is the background), H W the network's input size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from voskit.configs.models.aot import AOTConfig, IdentityBankConfig
from voskit.configs.stages import StageConfig
from voskit.networks.clips.aot import propagate_clips
from voskit.networks.decoders import FPNDecoder
from voskit.networks.encoders import Encoder, build_encoder
from voskit.networks.engines.aot import AOTEngine
from voskit.networks.layers.attention import LocalAttention, MemoryAttention, SelfAttention
from voskit.networks.layers.maps import to_map, to_sequence
from voskit.networks.layers.norms import GroupNormGELUDepthwise
from voskit.networks.layers.position import sine_position
from voskit.networks.memory import MemoryPart, MemoryPolicy
from voskit.networks.ops import embed_identities
from voskit.networks.supervised import Supervised

LayerState = tuple[Tensor, ...]
"""What a layer knows of a frame before the frame's mask is known; ``remember`` turns it into a memory."""


class Features(NamedTuple):
    """An encoded image, shared by all id groups, or an image for each of them."""

    maps: list[Tensor]
    """The encoder's maps at strides 4, 8 and 16, [1 or G, C_i, H_i, W_i]."""
    projected: Tensor
    """[1 or G, C, h, w]."""


class Propagated(NamedTuple):
    """What the transformer makes of a frame."""

    outputs: list[Tensor]
    """Normed outputs that the decoder takes, [G, L, C'] each."""
    states: list[LayerState]
    """State of each layer."""
    hidden: Tensor | None = None
    """Output of the last layer before its norm, from which deeper layers could go on; None: it isn't kept."""


class LSTTLayer(nn.Module):
    """A layer of the long short-term transformer (section 4.2)."""

    def __init__(self, config: AOTConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.norm1 = nn.LayerNorm(dim)
        self._build_projections(config)
        self.long_term_attn = MemoryAttention(dim, config.attention_heads, config.top_k, config.trained_positions)
        self.short_term_attn = LocalAttention(dim, config.attention_heads, config.window, config.local_attention)
        self.norm2 = nn.LayerNorm(dim)
        self.self_attn = SelfAttention(dim, config.self_heads)
        self.norm3 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, config.ffn_dim)
        self.activation = GroupNormGELUDepthwise(config.ffn_dim)
        self.linear2 = nn.Linear(config.ffn_dim, dim)
        self.drop_path = StochasticDepth(config.drop_path, "row")

    def _build_projections(self, config: AOTConfig) -> None:
        """What ``project`` and ``remember`` need."""
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
        """Propagate from the memories; with ``ids_GLC`` the frame is a reference and attends to itself only."""
        y = self.norm1(x_GLC)
        x = x_GLC + self.drop_path(self.self_attn(y + position_1LC, y + position_1LC, y))
        y = self.norm2(x)
        state = self.project(y)
        if ids_GLC is not None:
            short_term = self.remember(state, ids_GLC)
            long_term = [short_term]
        assert short_term is not None
        x = x + self.long_term_attn(state[0], long_term) + self.short_term_attn(state[0], short_term, size)
        x = x + self.drop_path(self.linear2(self.activation(self.linear1(self.norm3(x)), size)))
        return x, state

    def project(self, y_GLC: Tensor) -> LayerState:
        """The query, and what a value is made from once identities are known."""
        return self.linear_Q(y_GLC), y_GLC

    def remember(self, state: LayerState, ids_GLC: Tensor) -> MemoryPart:
        """Keys are the queries; values take in the identities."""
        query, y = state
        return MemoryPart(query, self.linear_V(y + ids_GLC))


class LayerStack(nn.Module):
    """Layers one after the other, each with a norm of its output for the decoder."""

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
        """Run layers on a projected feature: those that the memories have an entry for; all of them on a reference."""
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
        # in every published file, used by none of its computations
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.embed_dim), requires_grad=False)


class AOT(nn.Module):
    """AOT as functions between tensors; :class:`~voskit.networks.engines.AOTEngine` keeps what a video needs."""

    config: IdentityBankConfig

    def __init__(self, config: AOTConfig) -> None:
        super().__init__()
        maps = config.num_layers + 1 if config.decoder_uses_all_layers else 1
        self._build(config, decoder_channels=config.embed_dim * maps)
        self.LSTT: nn.Module = LSTT(config)
        self._initialise()

    def _build(self, config: IdentityBankConfig, decoder_channels: int) -> None:
        """Everything but the transformer, which is what the families of this kind differ in."""
        self.config = config
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
        # patches overlap by a pixel where the input is a multiple of 16 plus 1
        kernel, padding = (17, 8) if config.align_corners else (16, 0)
        self.patch_wise_id_bank = nn.Conv2d(identities, dim, kernel, 16, padding)
        self.decoder = self._build_decoder(decoder_channels, identities)

    def _build_decoder(self, channels: int, identities: int) -> FPNDecoder:
        config = self.config
        return FPNDecoder(
            channels, identities, self.encoder.channels[:3], config.embed_dim, align_corners=config.align_corners
        )

    def _initialise(self) -> None:
        """Initial values for training from scratch; the encoder has its own."""
        for part in (self.encoder_projector, self.LSTT, self.decoder):
            for parameter in part.parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)
        bank = self.patch_wise_id_bank.weight
        nn.init.orthogonal_(bank.data.view(bank.shape[0], -1).T, gain=bank.shape[-1] ** -2)

    @torch.no_grad()
    def keep_identities(self, identities: Sequence[int]) -> None:
        """Leave only some identities in bank and decoder: they become 1, 2, ..., and ``max_objects`` their number.

        For networks that mistake identities for each other after little training: fewer of them are told apart better,
        and many objects take more groups.

        Raises:
            ValueError: an identity that isn't there, or one twice.
        """
        most = self.config.max_objects
        if not identities or len(set(identities)) < len(identities) or not set(identities) <= set(range(1, most + 1)):
            raise ValueError(f"identities are different numbers from 1 to {most}, got {list(identities)}")
        rows = [0, *identities]
        bank, out = self.patch_wise_id_bank, self.decoder.conv_out
        assert out.bias is not None
        bank.weight = nn.Parameter(bank.weight[:, rows].contiguous())
        bank.in_channels = len(rows)
        out.weight, out.bias = nn.Parameter(out.weight[rows]), nn.Parameter(out.bias[rows])
        out.out_channels = len(rows)
        self.config = self.config.override(max_objects=len(identities))

    def new_engine(self, config: IdentityBankConfig | None = None, policy: MemoryPolicy | None = None) -> AOTEngine:
        """The state of one video, run with the inference fields of ``config`` (default: the model's own).

        ``policy`` says which frames the long-term memory holds (default: what the config says).
        """
        return AOTEngine(self, config or self.config, policy)

    def propagate_clips(
        self,
        frames_TB3HW: Tensor,
        labels_TBHW: Tensor,
        object_counts: Sequence[int],
        *,
        stage: StageConfig,
        step: int,
        permutation_BO: Tensor,
    ) -> list[list[Supervised]]:
        """A training batch -> what is supervised of each frame, the reference included."""
        return propagate_clips(
            self,
            frames_TB3HW,
            labels_TBHW,
            object_counts,
            own_predictions=step >= stage.sequential_start * stage.total_steps,
            fixed_identities=bool(stage.frozen_in_sequential),
            permutation_BO=permutation_BO,
        )

    @property
    def pretrained_encoders(self) -> dict[str, Encoder]:
        """Encoders that start from ImageNet, by the name of the config's field that says from which file."""
        return {"encoder_weights": self.encoder}

    @property
    def layers(self) -> Iterable[Any]:
        """The transformer's layers."""
        return self.LSTT.get_submodule("layers").children()

    def encode_image(self, image_B3HW: Tensor) -> Features:
        """Normalised RGB -> maps of the encoder and the projected feature."""
        *maps, last = self.encoder(image_B3HW)
        return Features(maps, self.encoder_projector(last))

    def encode_ids(self, ids_GHW: Tensor) -> Tensor:
        """Integer identities (0 background, 1 to max_objects; others are nothing at all) -> [G, L, C]."""
        bank = self.patch_wise_id_bank
        assert bank.bias is not None
        return embed_identities(ids_GHW, bank.weight, bank.bias, stride=bank.stride[0], padding=int(bank.padding[0]))

    def propagate(
        self, features: Features, long_term: Sequence[Sequence[MemoryPart]], short_term: Sequence[MemoryPart]
    ) -> Propagated:
        """Carry identities from the memories (one entry a layer) to a frame."""
        return self.LSTT(features.projected, long_term, short_term)

    def refer(self, features: Features, ids_GLC: Tensor) -> Propagated:
        """Take a frame whose mask is known: it attends to nothing but itself."""
        return self.LSTT(features.projected, (), (), ids_GLC)

    def remember(self, states: Sequence[LayerState], ids_GLC: Tensor) -> list[MemoryPart]:
        """Make a frame's states into memories, one a layer that was run, now that its identities are known."""
        return [layer.remember(state, ids_GLC) for layer, state in zip(self.layers, states, strict=False)]

    def decode(self, propagated: Propagated, features: Features) -> Tensor:
        """Logits at stride 4 -> [G, K, H / 4, W / 4]."""
        size = (features.projected.shape[2], features.projected.shape[3])
        outputs = [to_map(x, size) for x in propagated.outputs]
        if self.config.decoder_uses_all_layers:
            outputs.insert(0, features.projected.expand(len(outputs[0]), -1, -1, -1))
        else:
            outputs = outputs[-1:]
        return self.decoder(torch.cat(outputs, 1), features.maps)

    def supervise(self, propagated: Propagated, features: Features) -> list[Supervised]:
        """What training supervises of a frame: logits at stride 4, the ones that are used in the end last."""
        return [Supervised(1.0, self.decode(propagated, features))]
