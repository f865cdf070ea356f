"""JointFormer network (Zhang, Cui, Wu and Wang, arXiv 2308.13505).

Names of tensors are those of the published checkpoints.

Shapes: B images, K objects on the batch axis (those of an image are adjacent), C channels, H W the input size (a
multiple of 16), h w = H / 16 W / 16, L = h * w positions, M positions of all memory frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from voskit.configs.models.jointformer import JointFormerConfig
from voskit.networks.decoders.jointformer import FusingDecoder
from voskit.networks.encoders.base import Encoder
from voskit.networks.layers.joint_attention import JointBlock, MemoryReading
from voskit.networks.layers.maps import append_masks
from voskit.networks.layers.memory_part import MaskedPart, MemoryPart
from voskit.networks.models.base import Network
from voskit.networks.models.jointformer.convmae import ConvBlock, ConvMAE, append_normal


class ImageFeatures(NamedTuple):
    """An encoded query frame that all of its objects share."""

    f4: Tensor
    """[B, 256, H / 4, W / 4]."""
    f8: Tensor
    """[B, 384, H / 8, W / 8]."""
    positions: Tensor
    """Input of the transformer, [B, L, C]."""


class JointFormer(Network):
    """JointFormer as functions between tensors.

    :class:`~voskit.networks.engines.jointformer.JointFormerEngine` keeps the state of a video.
    """

    config: JointFormerConfig

    def __init__(self, config: JointFormerConfig) -> None:
        super().__init__(config)
        channels = 4 if config.single_object else 5
        self.convmae = ConvMAE(channels, config.update_block_depth, config.enhance_block_depth)
        self.decoder = FusingDecoder(self.convmae.channels[:3])

    @property
    def pretrained_encoders(self) -> dict[str, Encoder]:
        return {"encoder_weights": self.convmae}

    @property
    def block_calls(self) -> list[tuple[nn.Module, str]]:
        blocks = [part for part in self.convmae.modules() if isinstance(part, JointBlock)]
        convolutions = [part for part in self.convmae.modules() if isinstance(part, ConvBlock)]
        joint_calls = [(part, name) for part in blocks for name in ("forward", "observe", "gate")]
        return [*joint_calls, *((part, "forward") for part in (*convolutions, self.decoder))]

    @property
    def encoder_prefix(self) -> str:
        return "convmae."

    def adapt_checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, str]]:
        """Append a channel for the other objects' masks to a single-object checkpoint."""
        name = "convmae.patch_embed1_memory.proj.weight"
        weight, own = state.get(name), self.get_parameter(name)
        if weight is None or weight.ndim != 4 or weight.shape[1] + 1 != own.shape[1]:
            return {}
        grown = append_normal(weight, 1)
        if self.config.added_channel == "zeros":
            grown[:, -1] = 0
        return {name: (grown, f"single-object, a channel of {self.config.added_channel} added")}

    def encode_image(self, image_B3HW: Tensor) -> ImageFeatures:
        """Encode normalized RGB images, once for all objects."""
        return ImageFeatures(*self.convmae.embed_query(image_B3HW))

    def new_tokens(self, count: int) -> Tensor:
        """Return the tokens of ``count`` new objects, [count, 1, C]."""
        return self.convmae.cls_token.expand(count, -1, -1)

    def read(
        self,
        features: ImageFeatures,
        memory: Sequence[MemoryPart] | Sequence[MaskedPart],
        config: JointFormerConfig | None = None,
    ) -> Tensor:
        """Let a query frame read the memory (section 3.3) -> features of each object, [K, C, h, w].

        Args:
            features: of one image, or of several images that all have the same number of objects.
            memory: keys and values [K, M, C] of each block, and which of them hold something if not all do.
            config: its ``topk_*`` fields limit the positions that are read; None: all.
        """
        _, f8, positions = features
        if len(positions) > 1:
            positions = positions.repeat_interleave(len(memory[0].key) // len(positions), 0)
        readings = memory_readings(config, len(memory))
        return self.convmae.query(positions, memory, readings, (f8.shape[2] // 2, f8.shape[3] // 2))

    def remember(
        self,
        image_B3HW: Tensor,
        masks_KHW: Tensor,
        tokens_K1C: Tensor | None,
        config: JointFormerConfig | None = None,
    ) -> tuple[list[MemoryPart], Tensor | None]:
        """Encode a memory frame, whose masks are known, and update the tokens.

        Args:
            image_B3HW: normalized RGB; K is a multiple of B.
            masks_KHW: probabilities of the objects.
            tokens_K1C: tokens of the objects; None: don't update them.
            config: its ``topk_*`` fields limit the positions that a token reads, in the blocks of ``topk_block``;
                None: all.

        Returns:
            keys and values [K, L, C] of each block, and the updated tokens.
        """
        frames = append_masks(image_B3HW, masks_KHW, others=not self.config.single_object)
        return self.remember_masked(frames, tokens_K1C, config)

    def remember_masked(
        self, frame_KCHW: Tensor, tokens_K1C: Tensor | None, config: JointFormerConfig | None = None
    ) -> tuple[list[MemoryPart], Tensor | None]:
        """Encode frames with their masks (:func:`~voskit.networks.layers.maps.append_masks`); see ``remember``."""
        return self.convmae.remember(frame_KCHW, tokens_K1C, token_top_ks(config, len(self.convmae.blocks3)))

    def decode(self, features: ImageFeatures, f16_KCHW: Tensor, tokens_K1C: Tensor) -> tuple[Tensor, Tensor]:
        """Decode logits [K, H, W] of each object on its own, and the fusion feature [K, C, h, w] (section 3.5)."""
        enhanced = self.convmae.enhance(f16_KCHW, tokens_K1C)
        return self.decoder(features.f4, features.f8, f16_KCHW, enhanced)

    def update_tokens(self, fusion_KCHW: Tensor, tokens_K1C: Tensor, config: JointFormerConfig | None = None) -> Tensor:
        """Update tokens by attention to the decoder's fusion feature (section 3.4), [K, 1, C].

        ``topk_block`` names blocks of the encoder. If it names any, all update blocks read few positions.
        """
        few = token_top_ks(config, len(self.convmae.blocks3))[-1]
        return self.convmae.update(fusion_KCHW, tokens_K1C, [few] * len(self.convmae.blocks4))


def memory_readings(config: JointFormerConfig | None, blocks: int) -> list[MemoryReading]:
    """Return the reading limits of each block; without a config, blocks read the whole memory."""
    if config is None:
        return [MemoryReading()] * blocks
    first = {"all_blocks": 0, "half": blocks // 2, "last_block": blocks - 1}.get(config.topk_block or "None", blocks)
    few = MemoryReading(config.topk_num, config.topk_range == "every_frame")
    return [MemoryReading()] * first + [few] * (blocks - first)


def token_top_ks(config: JointFormerConfig | None, blocks: int) -> list[int | None]:
    """Return the number of frame positions that a token reads in each block; None: all."""
    if config is None or config.topk_clstoken == "N":
        return [None] * blocks
    return [reading.top_k for reading in memory_readings(config, blocks)]
