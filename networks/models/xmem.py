"""XMem network: Atkinson-Shiffrin memory model (Cheng and Schwing, ECCV 2022, arXiv 2207.07115).

Names of tensors are those of the published checkpoints.

Shapes: B images, K objects on the batch axis (those of an image are adjacent), C channels, H W the input size (a
multiple of 16), h w = H / 16 W / 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from voskit.configs.models.xmem import XMemConfig
from voskit.networks.decoders.xmem import RecurrentDecoder
from voskit.networks.encoders.base import Encoder, rename
from voskit.networks.encoders.resnet import BasicBlock, Bottleneck, ResNet, residual_parts
from voskit.networks.layers.fusion import FeatureFusion, GatedUpdate
from voskit.networks.layers.maps import append_masks, to_map, to_sequence
from voskit.networks.models.base import Network
from voskit.networks.ops.affinity import anisotropic_similarity
from voskit.networks.ops.top_k import read_sparse, top_k_weights


class ImageFeatures(NamedTuple):
    """An encoded image that all of its objects share."""

    maps: list[Tensor]
    """Maps at strides 4, 8 and 16, [B, 256 / 512 / 1024, ...]."""
    key: Tensor
    """[B, key_dim, h, w]."""
    shrinkage: Tensor
    """Scale of the distances to each position as a memory element, at least 1, [B, 1, h, w]."""
    selection: Tensor
    """Weight of each key channel for each position as a query, 0 to 1, [B, key_dim, h, w]."""


class KeyEncoder(ResNet):
    """ResNet-50 up to stride 16."""

    def __init__(self) -> None:
        super().__init__(residual_parts(Bottleneck, (3, 4, 6), nn.BatchNorm2d))
        self.res2 = self.layer1
        del self.layer1

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(image_B3HW))))
        x4 = self.res2(x)
        x8 = self.layer2(x4)
        return [x4, x8, self.layer3(x8)]

    def stages(self) -> list[list[nn.Module]]:
        return [[self.conv1, self.bn1], [self.res2], [self.layer2], [self.layer3]]

    @staticmethod
    def convert_pretrained(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return rename(state, [(r"^layer1\.", "res2.")])


class KeyProjection(nn.Module):
    """Projection of a map to keys, shrinkage and selection (section 3.2)."""

    def __init__(self, channels: int, key_dim: int) -> None:
        super().__init__()
        self.key_proj = nn.Conv2d(channels, key_dim, 3, padding=1)
        self.d_proj = nn.Conv2d(channels, 1, 3, padding=1)
        self.e_proj = nn.Conv2d(channels, key_dim, 3, padding=1)
        nn.init.orthogonal_(self.key_proj.weight.data)
        nn.init.zeros_(self.key_proj.bias.data)  # type: ignore[union-attr]

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.key_proj(x_BCHW), self.d_proj(x_BCHW) ** 2 + 1, self.e_proj(x_BCHW).sigmoid()


class ValueEncoder(ResNet):
    """ResNet-18 up to stride 16 over an image and masks, fused with the image's own map.

    It also holds the deep update of the sensory memory by values.

    Args:
        masks: channels after RGB: 2 for the object's mask and the sum of the others', 1 for the object's mask only.
        key_channels: channels of the key encoder's map.
        value_dim: channels of the values.
        hidden_dim: channels of the sensory memory; 0: there is none.
    """

    pretrained_absent = ("fuser.", "hidden_reinforce.")

    def __init__(self, masks: int, key_channels: int, value_dim: int, hidden_dim: int) -> None:
        super().__init__(residual_parts(BasicBlock, (2, 2, 2), nn.BatchNorm2d, channels=3 + masks))
        self.channels = (64, 128, 256, 256)
        self.fuser = FeatureFusion(key_channels + 256, value_dim)
        self.hidden_reinforce = GatedUpdate(value_dim, hidden_dim) if hidden_dim else None

    def encode(self, image_masks_KCHW: Tensor, f16_BCHW: Tensor) -> Tensor:
        """Encode values [K, value_dim, h, w]."""
        return self.fuser(f16_BCHW, self(image_masks_KCHW)[-1])

    def convert_pretrained(self, state: dict[str, Tensor]) -> dict[str, Tensor]:  # type: ignore[override]
        rgb = state["conv1.weight"]
        return {**state, "conv1.weight": append_orthogonal(rgb, self.get_parameter("conv1.weight").shape[1] - 3)}


def append_orthogonal(weight_OIHW: Tensor, count: int) -> Tensor:
    """Append ``count`` orthogonal input channels to the weight of a convolution."""
    added = weight_OIHW.new_empty(weight_OIHW.shape[0], count, *weight_OIHW.shape[2:])
    return torch.cat([weight_OIHW, nn.init.orthogonal_(added)], 1)


class XMem(Network):
    """XMem as functions between tensors; :class:`~voskit.networks.engines.xmem.XMemEngine` keeps a video's state."""

    config: XMemConfig

    def __init__(self, config: XMemConfig) -> None:
        super().__init__(config)
        self.key_encoder = KeyEncoder()
        maps = self.key_encoder.channels[:3]
        masks = 1 if config.single_object else 2
        self.value_encoder = ValueEncoder(masks, maps[2], config.value_dim, config.hidden_dim)
        self.key_proj = KeyProjection(maps[2], config.key_dim)
        self.decoder = RecurrentDecoder(maps, config.value_dim, config.hidden_dim)

    def train(self, mode: bool = True) -> XMem:
        """Set training or evaluation mode; batch norms use their running statistics in both."""
        super().train(mode)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        return self

    @property
    def pretrained_encoders(self) -> dict[str, Encoder]:
        return {"encoder_weights": self.key_encoder, "value_encoder_weights": self.value_encoder}

    def adapt_checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, str]]:
        """Append a channel for the other objects' masks to a single-object checkpoint."""
        name = "value_encoder.conv1.weight"
        weight, own = state.get(name), self.get_parameter(name)
        if weight is None or weight.ndim != 4 or weight.shape[1] + 1 != own.shape[1]:
            return {}
        if self.config.added_channel == "zeros":
            grown = torch.cat([weight, weight.new_zeros(weight.shape[0], 1, *weight.shape[2:])], 1)
        else:
            grown = append_orthogonal(weight, 1)
        return {name: (grown, f"single-object, a channel of {self.config.added_channel} added")}

    def encode_image(self, image_B3HW: Tensor) -> ImageFeatures:
        """Encode normalized RGB images: maps, and keys with shrinkage (as memory) and selection (as queries)."""
        maps = self.key_encoder(image_B3HW)
        return ImageFeatures(maps, *self.key_proj(maps[2]))

    def encode_value(
        self,
        image_B3HW: Tensor,
        features: ImageFeatures,
        masks_KHW: Tensor,
        hidden_KCHW: Tensor | None,
        deep_update: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Encode the values of a frame whose masks are known.

        Args:
            image_B3HW: normalized RGB; K is a multiple of B.
            features: result of ``encode_image`` for it.
            masks_KHW: probabilities of the objects.
            hidden_KCHW: sensory memory; None: the network has none.
            deep_update: update the sensory memory by the values.

        Returns:
            values [K, value_dim, h, w] and the sensory memory.
        """
        frame = append_masks(image_B3HW, masks_KHW, others=not self.config.single_object)
        return self.encode_masked(frame, features, hidden_KCHW, deep_update)

    def encode_masked(
        self, frame_KCHW: Tensor, features: ImageFeatures, hidden_KCHW: Tensor | None, deep_update: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Encode values as :meth:`encode_value` does, of images with the masks of their objects as further channels."""
        value = self.value_encoder.encode(frame_KCHW, features.maps[2])
        update = self.value_encoder.hidden_reinforce
        if deep_update and hidden_KCHW is not None and update is not None:
            hidden_KCHW = update(value, hidden_KCHW)
        return value, hidden_KCHW

    def compare(self, features: ImageFeatures, memory_1MC: Tensor) -> Tensor:
        """Compare a frame with keys and shrinkages of a memory, [1, M, key_dim + 1] -> [1, Q, M] for Q positions."""
        key, shrinkage = memory_1MC.split((self.config.key_dim, 1), 2)
        return anisotropic_similarity(key, shrinkage, to_sequence(features.key), to_sequence(features.selection))

    def read(
        self, features: ImageFeatures, similarity_1QM: Tensor, value_1MD: Tensor, valid_1M: Tensor, top_k: int
    ) -> Tensor:
        """Read the ``top_k`` most similar valid values for each position -> [1, D, h, w]."""
        known = similarity_1QM.masked_fill(~valid_1M[:, None], -torch.inf)
        weights, places = top_k_weights(known, top_k)
        size = (features.key.shape[2], features.key.shape[3])
        return to_map(read_sparse(weights[0], places[0], value_1MD), size)

    def decode(
        self, features: ImageFeatures, readout_KCHW: Tensor, hidden_KCHW: Tensor | None, update: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Decode logits [K, H, W] of each object on its own; with ``update`` the sensory memory is updated."""
        return self.decoder(features.maps, readout_KCHW, hidden_KCHW, update)
