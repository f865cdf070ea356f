"""XMem (Cheng and Schwing, ECCV 2022, arXiv 2207.07115).

Names of tensors are those of the published checkpoints.

Shapes: B images, K objects on the batch axis (those of an image side by side), C channels, H W the input size (a
multiple of 16), h w = H / 16 W / 16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models import resnet18, resnet50

from voskit.configs.models.xmem import XMemConfig
from voskit.configs.stages import StageConfig, XMemStageConfig
from voskit.networks.clips.references import draw_references
from voskit.networks.clips.xmem import draw_deep_updates, propagate_xmem_clips
from voskit.networks.decoders import RecurrentDecoder
from voskit.networks.encoders import Encoder
from voskit.networks.encoders.base import rename
from voskit.networks.encoders.resnet import ResNet
from voskit.networks.engines.xmem import XMemEngine
from voskit.networks.layers.fusion import FeatureFusion, GatedUpdate
from voskit.networks.layers.maps import with_masks
from voskit.networks.memory import MemoryPolicy
from voskit.networks.supervised import Supervised


class ImageFeatures(NamedTuple):
    """An encoded image, shared by all of its objects."""

    maps: list[Tensor]
    """Maps at strides 4, 8 and 16, [B, 256 / 512 / 1024, ...]."""
    key: Tensor
    """[B, key_dim, h, w]."""
    shrinkage: Tensor
    """How fast affinity falls with distance from this position as a memory element, [B, 1, h, w], from 1 on."""
    selection: Tensor
    """Which channels of keys this position minds as a query, [B, key_dim, h, w], 0 to 1."""


class KeyEncoder(ResNet):
    """ResNet-50 up to stride 16."""

    def __init__(self) -> None:
        super().__init__(partial(resnet50, weights=None), nn.BatchNorm2d)
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
    """Keys, shrinkage and selection of a map."""

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
        masks: channels besides RGB: the object's mask and, but for single objects, the sum of the others'.
    """

    pretrained_absent = ("fuser.", "hidden_reinforce.")

    def __init__(self, masks: int, key_channels: int, value_dim: int, hidden_dim: int) -> None:
        super().__init__(partial(resnet18, weights=None), nn.BatchNorm2d)
        self.channels = (64, 128, 256, 256)
        self.conv1 = nn.Conv2d(3 + masks, 64, 7, 2, 3, bias=False)
        self.fuser = FeatureFusion(key_channels + 256, value_dim)
        self.hidden_reinforce = GatedUpdate(value_dim, hidden_dim) if hidden_dim else None

    def encode(self, image_masks_KCHW: Tensor, f16_BCHW: Tensor) -> Tensor:
        """Values [K, value_dim, h, w]."""
        return self.fuser(f16_BCHW, self(image_masks_KCHW)[-1])

    def convert_pretrained(self, state: dict[str, Tensor]) -> dict[str, Tensor]:  # type: ignore[override]
        rgb = state["conv1.weight"]
        return {**state, "conv1.weight": append_orthogonal(rgb, self.get_parameter("conv1.weight").shape[1] - 3)}


def append_orthogonal(weight_OIHW: Tensor, count: int) -> Tensor:
    """A convolution's weight with ``count`` input channels more, orthogonal ones."""
    added = weight_OIHW.new_empty(weight_OIHW.shape[0], count, *weight_OIHW.shape[2:])
    return torch.cat([weight_OIHW, nn.init.orthogonal_(added)], 1)


class XMem(nn.Module):
    """XMem as functions between tensors; :class:`~voskit.networks.engines.xmem.XMemEngine` keeps what a video needs."""

    config: XMemConfig

    def __init__(self, config: XMemConfig) -> None:
        super().__init__()
        self.config = config
        self.key_encoder = KeyEncoder()
        maps = self.key_encoder.channels[:3]
        masks = 1 if config.single_object else 2
        self.value_encoder = ValueEncoder(masks, maps[2], config.value_dim, config.hidden_dim)
        self.key_proj = KeyProjection(maps[2], config.key_dim)
        self.decoder = RecurrentDecoder(maps, config.value_dim, config.hidden_dim)

    def train(self, mode: bool = True) -> XMem:
        """Set the mode; batch norms always use their running statistics."""
        super().train(mode)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        return self

    def new_engine(self, config: XMemConfig | None = None, policy: MemoryPolicy | None = None) -> XMemEngine:
        """The state of one video, run with the inference fields of ``config`` (default: the model's own).

        ``policy`` says which frames the memory holds (default: what the config says).
        """
        return XMemEngine(self, config or self.config, policy)

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
        if not isinstance(stage, XMemStageConfig):
            raise ValueError(
                f"XMem is trained by stages that derive from XMemStageConfig, not by {type(stage).__name__}"
            )
        length, batch = frames_TB3HW.shape[:2]
        logits = propagate_xmem_clips(
            self,
            frames_TB3HW,
            labels_TBHW,
            object_counts,
            objects=stage.max_objects or self.config.max_objects,
            reference_frames=stage.reference_frames,
            deep_update=draw_deep_updates(length, stage.deep_update_prob),
            references=draw_references(length, batch, stage.reference_frames),
        )
        return [[Supervised(1.0, x)] for x in logits]

    @property
    def pretrained_encoders(self) -> dict[str, Encoder]:
        """Encoders that start from ImageNet, by the name of the config's field that says from which file."""
        return {"encoder_weights": self.key_encoder, "value_encoder_weights": self.value_encoder}

    def adapt_checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, str]]:
        """Tensors of a file that fit only once they are changed -> what they become, and what was done.

        A single-object file gets a channel for the other objects' masks.
        """
        name = "value_encoder.conv1.weight"
        given, own = state.get(name), self.get_parameter(name)
        if given is None or given.ndim != 4 or given.shape[1] + 1 != own.shape[1]:
            return {}
        if self.config.added_channel == "zeros":
            grown = torch.cat([given, given.new_zeros(given.shape[0], 1, *given.shape[2:])], 1)
        else:
            grown = append_orthogonal(given, 1)
        return {name: (grown, f"single-object, a channel of {self.config.added_channel} added")}

    def encode_image(self, image_B3HW: Tensor) -> ImageFeatures:
        """Normalised RGB -> maps, and keys as queries and as memory have them."""
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
        """Values of a frame whose masks are known.

        Args:
            image_B3HW: normalised RGB; K is a multiple of B.
            features: what ``encode_image`` gave for it.
            masks_KHW: probabilities of the objects.
            hidden_KCHW: their sensory memory; None where there is none.
            deep_update: whether it is updated.

        Returns:
            values [K, value_dim, h, w] and the sensory memory.
        """
        frame = with_masks(image_B3HW, masks_KHW, others=not self.config.single_object)
        value = self.value_encoder.encode(frame, features.maps[2])
        update = self.value_encoder.hidden_reinforce
        if deep_update and hidden_KCHW is not None and update is not None:
            hidden_KCHW = update(value, hidden_KCHW)
        return value, hidden_KCHW

    def decode(
        self, features: ImageFeatures, readout_KCHW: Tensor, hidden_KCHW: Tensor | None, update: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Logits [K, H, W] of each object by itself, and its sensory memory, updated if ``update``."""
        return self.decoder(features.maps, readout_KCHW, hidden_KCHW, update)
