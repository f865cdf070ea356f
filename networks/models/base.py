"""Base class of all networks, with every hook that trainer, checkpoints and segmenters call.

A network is a set of functions between tensors. It keeps no state of a video (its engine does) and knows neither
engines nor training stages. Hooks have defaults, so a family overrides only those that it needs; docs/families.md
lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from voskit.configs import ModelConfig


class Supervised(NamedTuple):
    """Logits that a training loss compares with the labels."""

    weight: float
    """Weight in the frame's loss; the weights of a frame add up to 1."""
    logits: Tensor
    """[B, K, H, W] float32."""


class Network(nn.Module):
    """Base class of the networks of all families.

    Args:
        config: kept as ``config``; checkpoints store it, and it is the default config of engines.
    """

    config: ModelConfig

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    # checkpoints

    @property
    def pretrained_encoders(self) -> Mapping[str, nn.Module]:
        """Encoders that start from published weights, by the config field that names the file.

        Each encoder follows :class:`voskit.networks.encoders.base.Pretrained`. Default: none.
        """
        return {}

    def adapt_checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, str]]:
        """Convert tensors of a checkpoint that don't fit as they are.

        Args:
            state: all tensors of the file, by name.

        Returns:
            the converted tensors by name, each with a short description of the conversion for the load report.
            Default: none.

        Raises:
            ValueError: the file contradicts itself.
        """
        return {}

    def ignored_tensors(self, shapes: Mapping[str, torch.Size]) -> dict[str, str]:
        """Return the tensors of a checkpoint that this network doesn't need, each with the reason.

        Loading is strict: a tensor that is neither used nor listed here is an error. Default: none.

        Args:
            shapes: shapes of all tensors of the file, by name.
        """
        return {}

    # training

    @property
    def encoder_prefix(self) -> str:
        """Prefix of the parameters that train at the encoder's learning rate. Default: ``"encoder."``."""
        return "encoder."

    @property
    def has_mobile_encoder(self) -> bool:
        """True if the learning rate may fall to the stage's ``min_lr``, not only to ``min_lr_large``.

        As published, this holds for MobileNets, see :attr:`voskit.networks.encoders.base.Encoder.mobile`.
        Default: False.
        """
        return False

    @property
    def decay_encoder_norms(self) -> bool:
        """True if weight decay also applies to the scales of the encoder's norms. Default: False."""
        return False

    def reset_classifier(self) -> None:
        """Reinitialize the classification heads, for fine-tuning.

        Raises:
            ValueError: the network has no classification heads. This is the default.
        """
        raise ValueError(f"{type(self).__name__} has no classification heads to reset")

    def propagate_clips(
        self,
        frames_TB3HW: Tensor,
        labels_TBHW: Tensor,
        object_counts: Sequence[int],
        *,
        stage: Any,
        step: int,
        permutation_BO: Tensor,
    ) -> list[list[Supervised]]:
        """Propagate the first frame's masks through a batch of training clips.

        The families of this package leave this to :mod:`voskit.trainers.clips`. Override it to train a family of your
        own.

        Args:
            frames_TB3HW: normalized RGB.
            labels_TBHW: object ids, 0 is the background.
            object_counts: number of objects of each clip.
            stage: the stage's config.
            step: number of the training step, from 0 on.
            permutation_BO: a random order of the identities for each clip, for networks with an identity bank.

        Returns:
            supervised logits of each frame that enters the stage's loss; the last of a frame is its prediction.

        Raises:
            ValueError: the family defines no training. This is the default.
        """
        raise ValueError(f"{type(self).__name__} can't be trained: it doesn't override propagate_clips")

    # speed and memory

    @property
    def block_calls(self) -> list[tuple[nn.Module, str]]:
        """Modules and names of their methods that take most of the time and memory.

        ``torch.compile`` and activation checkpointing apply to these. Default: ``forward`` of each child.
        """
        return [(part, "forward") for part in self.children()]
