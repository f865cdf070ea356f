"""JointFormer's transformer on a ConvMAE-base (Gao et al., NeurIPS 2022).

Names of tensors are those of the published checkpoints.

Shapes: B images, K objects on the batch axis (those of an image are adjacent), C channels, H W the input size (a
multiple of 16), h w = H / 16 W / 16, L = h * w positions, M positions of all memory frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.networks.encoders.base import Encoder
from voskit.networks.layers.joint_attention import JointBlock, MemoryReading
from voskit.networks.layers.maps import to_map, to_sequence
from voskit.networks.layers.memory_part import MaskedPart, MemoryPart
from voskit.networks.layers.position import resize_table, sine_cosine_table

WIDTHS = (256, 384, 768)
DEPTHS = (2, 2, 11)
HEADS = 12
GRID = 24


class PatchEmbed(nn.Module):
    """Embedding of non-overlapping patches, then LayerNorm over channels and GELU."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, out_channels, stride, stride)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return F.gelu(_channel_norm(self.norm, self.proj(x_BCHW)))


class _ConvMlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x_BCHW)))


class ConvBlock(nn.Module):
    """A transformer block with a 5 x 5 depthwise convolution between two 1 x 1 ones in place of attention."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.conv1 = nn.Conv2d(dim, dim, 1)
        self.conv2 = nn.Conv2d(dim, dim, 1)
        self.attn = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = _ConvMlp(dim, 4 * dim)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = x_BCHW + self.conv2(self.attn(self.conv1(_channel_norm(self.norm1, x_BCHW))))
        return x_BCHW + self.mlp(_channel_norm(self.norm2, x_BCHW))


class ConvMAE(Encoder):
    """Encoder of query frames, memory frames with masks, and object tokens (JointFormer, sections 3.2 to 3.4).

    Args:
        memory_channels: channels of a memory frame: RGB, the object's mask and, unless there is a single object, the
            sum of the others'.
        update_depth: blocks that update tokens by the decoder's features.
        enhance_depth: blocks that enhance features by tokens.
    """

    pretrained_unused = ("head.", "fc_norm.", "pos_embed", "mask_token", "decoder_", "stage1_", "stage2_")
    pretrained_absent = ("pos_embed", "cls_token")

    def __init__(self, memory_channels: int, update_depth: int, enhance_depth: int) -> None:
        super().__init__()
        first, second, dim = WIDTHS
        self.channels = (first, second, dim, dim)
        self.pos_embed = nn.Parameter(sine_cosine_table(GRID, dim))
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim).normal_(std=0.02))
        self.patch_embed1_query = PatchEmbed(3, first, 4)
        self.patch_embed1_memory = PatchEmbed(memory_channels, first, 4)
        self.patch_embed2 = PatchEmbed(first, second, 2)
        self.patch_embed3 = PatchEmbed(second, dim, 2)
        self.patch_embed4 = nn.Linear(dim, dim)
        self.blocks1 = nn.ModuleList(ConvBlock(first) for _ in range(DEPTHS[0]))
        self.blocks2 = nn.ModuleList(ConvBlock(second) for _ in range(DEPTHS[1]))
        self.blocks3 = nn.ModuleList(JointBlock(dim, HEADS) for _ in range(DEPTHS[2]))
        self.patch_embed4_block4 = nn.Linear(dim, dim)
        self.blocks4 = nn.ModuleList(JointBlock(dim, HEADS) for _ in range(update_depth))
        self.patch_embed4_block5 = nn.Linear(dim, dim)
        self.blocks5 = nn.ModuleList(JointBlock(dim, HEADS) for _ in range(enhance_depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def embed_query(self, image_B3HW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embed a query frame -> maps at strides 4 and 8, and the input of the transformer, [B, L, C]."""
        return self._embed(self.patch_embed1_query, image_B3HW)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        """Return maps at strides 4, 8, 16 and 16 of frames without memory; the last two are one tensor."""
        f4, f8, x = self.embed_query(image_B3HW)
        blocks = len(self.blocks3)
        f16 = self.query(x, [None] * blocks, [MemoryReading()] * blocks, (f8.shape[2] // 2, f8.shape[3] // 2))
        return [f4, f8, f16, f16]

    def query(
        self,
        x_BLC: Tensor,
        memory: Sequence[MemoryPart | MaskedPart | None],
        readings: Sequence[MemoryReading],
        size: tuple[int, int],
    ) -> Tensor:
        """Let a query frame attend to itself and to memory frames -> [K, C, h, w].

        Args:
            x_BLC: from ``embed_query``; B is K or 1, which is shared by all objects.
            memory: keys and values [K, M, C] of each block.
            readings: reading limits of each block.
            size: h, w.
        """
        for block, part, reading in zip(self.blocks3, memory, readings, strict=True):
            x_BLC = block(x_BLC, part, reading)
        return to_map(self.norm(x_BLC), size)

    def remember(
        self, frame_KCHW: Tensor, token_K1C: Tensor | None, top_ks: Sequence[int | None]
    ) -> tuple[list[MemoryPart], Tensor | None]:
        """Encode a memory frame and update the tokens by attention to it.

        Args:
            frame_KCHW: normalized RGB and masks.
            token_K1C: tokens of the objects; None: don't update them.
            top_ks: for each block, positions that a token attends to in each head; None: all.

        Returns:
            keys and values [K, L, C] of each block, and the updated tokens.
        """
        x = self._embed(self.patch_embed1_memory, frame_KCHW)[2]
        return self._observe(self.blocks3, x, token_K1C, top_ks)

    def update(self, feature_KCHW: Tensor, token_K1C: Tensor, top_ks: Sequence[int | None]) -> Tensor:
        """Update tokens by attention to the decoder's features, [K, 1, C]. For ``top_ks`` see ``remember``."""
        x = self._with_position(self.patch_embed4_block4(to_sequence(feature_KCHW)), feature_KCHW.shape[2:])
        token = self._observe(self.blocks4, x, self.patch_embed4_block4(token_K1C), top_ks)[1]
        assert token is not None
        return token

    def enhance(self, f16_KCHW: Tensor, token_K1C: Tensor) -> Tensor:
        """Enhance features by the objects' tokens, [K, C, h, w]."""
        height, width = f16_KCHW.shape[2:]
        x = self._with_position(self.patch_embed4_block5(to_sequence(f16_KCHW)), (height, width))
        token = self.patch_embed4_block5(token_K1C) + self.pos_embed[:, :1]
        for block in self.blocks5:
            assert isinstance(block, JointBlock)
            x = block.gate(x, token)
        return to_map(self.norm(x), (height, width))

    def stages(self) -> list[list[nn.Module]]:
        return [
            [self.patch_embed1_query, self.patch_embed1_memory],
            [self.blocks1],
            [self.patch_embed2, self.blocks2],
            [self.patch_embed3, self.patch_embed4, self.blocks3],
        ]

    def convert_pretrained(self, state: dict[str, Tensor]) -> dict[str, Tensor]:  # type: ignore[override]
        """Convert a ConvMAE file: its stem becomes both stems, copies of its last blocks update and enhance."""
        out: dict[str, Tensor] = {}
        copies = {"blocks4": len(self.blocks4), "blocks5": len(self.blocks5)}
        for name, x in state.items():
            if name.startswith("patch_embed1."):
                rest = name.removeprefix("patch_embed1.")
                out[f"patch_embed1_query.{rest}"] = out[f"patch_embed1_memory.{rest}"] = x
                continue
            out[name] = x
            if name.startswith("patch_embed4."):
                rest = name.removeprefix("patch_embed4.")
                out[f"patch_embed4_block4.{rest}"] = out[f"patch_embed4_block5.{rest}"] = x
            elif name.startswith("blocks3."):
                _, place, rest = name.split(".", 2)
                for other, depth in copies.items():
                    own = int(place) - DEPTHS[2] + depth
                    if own >= 0:
                        out[f"{other}.{own}.{rest}"] = x
        name = "patch_embed1_memory.proj.weight"
        if name in out:
            own_channels = self.get_parameter(name).shape[1]
            out[name] = append_normal(out[name], own_channels - out[name].shape[1])
        return out

    def _embed(self, stem: nn.Module, frame_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        f4 = stem(frame_BCHW)
        for block in self.blocks1:
            f4 = block(f4)
        f8 = self.patch_embed2(f4)
        for block in self.blocks2:
            f8 = block(f8)
        x = self.patch_embed3(f8)
        return f4, f8, self._with_position(self.patch_embed4(to_sequence(x)), x.shape[2:])

    def _with_position(self, x_BLC: Tensor, size: Sequence[int]) -> Tensor:
        return x_BLC + resize_table(self.pos_embed[:, 1:], (size[0], size[1]))

    def _observe(
        self, blocks: nn.ModuleList, x_KLC: Tensor, token_K1C: Tensor | None, top_ks: Sequence[int | None]
    ) -> tuple[list[MemoryPart], Tensor | None]:
        """Run blocks in which frames attend to themselves, and tokens to frames and to themselves."""
        if token_K1C is not None:
            token_K1C = token_K1C + self.pos_embed[:, :1]
        parts = []
        for block, top_k in zip(blocks, top_ks, strict=True):
            assert isinstance(block, JointBlock)
            last = block is blocks[-1]
            x_KLC, token_K1C, part = block.observe(x_KLC, token_K1C, top_k, only_token=last)
            parts.append(part)
        return parts, None if token_K1C is None else self.norm(token_K1C)


def append_normal(weight_OIHW: Tensor, count: int) -> Tensor:
    """Append ``count`` input channels to the weight of a convolution, drawn from a truncated normal distribution."""
    added = weight_OIHW.new_empty(weight_OIHW.shape[0], count, *weight_OIHW.shape[2:])
    return torch.cat([weight_OIHW, nn.init.trunc_normal_(added, std=0.02)], 1)


def _channel_norm(norm: nn.LayerNorm, x_BCHW: Tensor) -> Tensor:
    return norm(x_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
