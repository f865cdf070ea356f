"""JointFormer (Zhang, Cui, Wu and Wang, arXiv 2308.13505).

Names of tensors are those of the published checkpoints.

Shapes: B images, K objects on the batch axis (those of an image side by side), C channels, H W the input size (a
multiple of 16), h w = H / 16 W / 16, L = h * w positions, M positions of all memory frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from voskit.configs.models.jointformer import JointFormerConfig
from voskit.configs.stages import JointFormerStageConfig, StageConfig
from voskit.networks.clips.jointformer import propagate_jointformer_clips
from voskit.networks.clips.references import draw_references
from voskit.networks.decoders import FusingDecoder
from voskit.networks.encoders import Encoder
from voskit.networks.engines.jointformer import JointFormerEngine
from voskit.networks.layers.joint_attention import JointBlock, MemoryReading
from voskit.networks.layers.maps import with_masks
from voskit.networks.memory import MemoryPart, MemoryPolicy
from voskit.networks.models.jointformer.convmae import ConvBlock, ConvMAE, append_normal
from voskit.networks.supervised import Supervised


class ImageFeatures(NamedTuple):
    """What doesn't depend on objects of a query frame."""

    f4: Tensor
    """[B, 256, H / 4, W / 4]."""
    f8: Tensor
    """[B, 384, H / 8, W / 8]."""
    positions: Tensor
    """What enters the transformer, [B, L, C]."""


class JointFormer(nn.Module):
    """JointFormer as functions between tensors; :class:`~voskit.networks.engines.jointformer.JointFormerEngine`
    keeps what a
    video needs."""

    config: JointFormerConfig

    def __init__(self, config: JointFormerConfig) -> None:
        super().__init__()
        self.config = config
        channels = 4 if config.single_object else 5
        self.convmae = ConvMAE(channels, config.update_block_depth, config.enhance_block_depth)
        self.decoder = FusingDecoder(self.convmae.channels[:3])

    def new_engine(
        self, config: JointFormerConfig | None = None, policy: MemoryPolicy | None = None
    ) -> JointFormerEngine:
        """The state of one video, run with the inference fields of ``config`` (default: the model's own).

        ``policy`` says which frames the memory holds (default: what the config says).
        """
        return JointFormerEngine(self, config or self.config, policy)

    @property
    def pretrained_encoders(self) -> dict[str, Encoder]:
        """Encoders that start from other weights, by the name of the config's field that says from which file."""
        return {"encoder_weights": self.convmae}

    @property
    def costly_calls(self) -> list[tuple[nn.Module, str]]:
        """Modules and methods that take the time and, in training, the memory."""
        blocks = [part for part in self.convmae.modules() if isinstance(part, JointBlock)]
        convolutions = [part for part in self.convmae.modules() if isinstance(part, ConvBlock)]
        of_blocks = [(part, name) for part in blocks for name in ("forward", "observe", "gate")]
        return [*of_blocks, *((part, "forward") for part in (*convolutions, self.decoder))]

    @property
    def encoder_prefix(self) -> str:
        """What names of parameters begin with that learn at the encoder's rate."""
        return "convmae."

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
        """A training batch -> logits of frames 1 to T - 1, [B, O + 1, H, W]; objects have no identities to permute."""
        if not isinstance(stage, JointFormerStageConfig):
            wanted = JointFormerStageConfig.__name__
            raise ValueError(
                f"JointFormer is trained by stages that derive from {wanted}, not by {type(stage).__name__}"
            )
        length, batch = frames_TB3HW.shape[:2]
        logits = propagate_jointformer_clips(
            self,
            frames_TB3HW,
            labels_TBHW,
            object_counts,
            objects=stage.max_objects or self.config.max_objects,
            reference_frames=stage.reference_frames,
            token_updates=(torch.rand(max(0, length - 2)) < stage.token_update_prob).tolist(),
            references=draw_references(length, batch, stage.reference_frames),
        )
        return [[Supervised(1.0, x)] for x in logits]

    def adapt_checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, str]]:
        """Tensors of a file that fit only once they are changed -> what they become, and what was done.

        A single-object file gets a channel for the other objects' masks.
        """
        name = "convmae.patch_embed1_memory.proj.weight"
        given, own = state.get(name), self.get_parameter(name)
        if given is None or given.ndim != 4 or given.shape[1] + 1 != own.shape[1]:
            return {}
        grown = append_normal(given, 1)
        if self.config.added_channel == "zeros":
            grown[:, -1] = 0
        return {name: (grown, f"single-object, a channel of {self.config.added_channel} added")}

    def encode_image(self, image_B3HW: Tensor) -> ImageFeatures:
        """Normalised RGB -> what all objects share."""
        return ImageFeatures(*self.convmae.embed_query(image_B3HW))

    def new_tokens(self, count: int) -> Tensor:
        """Tokens of objects at their first frame, [count, 1, C]."""
        return self.convmae.cls_token.expand(count, -1, -1)

    def read(
        self, features: ImageFeatures, memory: Sequence[MemoryPart], config: JointFormerConfig | None = None
    ) -> Tensor:
        """A query frame in the light of its memory (section 3.3) -> features of each object, [K, C, h, w].

        Args:
            features: of one image, or of images that have the same number of objects each, side by side.
            memory: keys and values [K, M, C] of each block.
            config: says how much is read of the memory; None: all.
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
        """A frame whose masks are known -> keys and values [K, L, C] of each block, and the updated tokens.

        Args:
            image_B3HW: normalised RGB; K is a multiple of B.
            masks_KHW: probabilities of the objects.
            tokens_K1C: None: they aren't updated.
            config: says how much tokens read of a frame; None: all.
        """
        frame = with_masks(image_B3HW, masks_KHW, others=not self.config.single_object)
        return self.convmae.remember(frame, tokens_K1C, _token_top_k(config))

    def decode(self, features: ImageFeatures, f16_KCHW: Tensor, tokens_K1C: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [K, H, W] of each object by itself, and the decoder's fusion feature [K, C, h, w] (section 3.5)."""
        enhanced = self.convmae.enhance(f16_KCHW, tokens_K1C)
        return self.decoder(features.f4, features.f8, f16_KCHW, enhanced)

    def update_tokens(self, fusion_KCHW: Tensor, tokens_K1C: Tensor, config: JointFormerConfig | None = None) -> Tensor:
        """Tokens after they attended to the decoder's fusion feature (section 3.4), [K, 1, C]."""
        return self.convmae.update(fusion_KCHW, tokens_K1C, _token_top_k(config))


def memory_readings(config: JointFormerConfig | None, blocks: int) -> list[MemoryReading]:
    """How much of the memory each block reads; no config: all of it."""
    if config is None:
        return [MemoryReading()] * blocks
    first = {"all_blocks": 0, "half": blocks // 2, "last_block": blocks - 1}.get(config.topk_block or "None", blocks)
    few = MemoryReading(config.topk_num, config.topk_range == "every_frame")
    return [MemoryReading()] * first + [few] * (blocks - first)


def _token_top_k(config: JointFormerConfig | None) -> int | None:
    return config.topk_num if config is not None and config.topk_clstoken == "Y" else None
