"""From a training batch to its loss, as modules, so that gradients can be shared by processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.configs import suggest
from voskit.configs.stages import ReferringStageConfig, StageConfig
from voskit.dataloaders.tokenizer import Tokenizer
from voskit.dataloaders.training import ClipBatch
from voskit.dataloaders.training.referring.clip import ReferringBatch
from voskit.trainers.distributed import Processes
from voskit.trainers.losses import CLIP_LOSSES
from voskit.trainers.referring_losses import Target, match, referring_loss
from voskit.trainers.sampling import identity_permutations


class ClipPreview(NamedTuple):
    """A clip, for a picture."""

    frames: Tensor
    """[T, 3, H, W], normalised."""
    labels: Tensor
    """[T, H, W]."""
    predicted: Tensor
    """[T', H, W]: some networks predict no first frame."""


class Objective(Protocol):
    """What the trainer calls."""

    def parts(self, batch: Any, places: range, count: int, processes: Processes) -> Iterator[tuple[Any, ...]]:
        """Arguments of the module for each of ``count`` equal parts of this process's share of a step.

        ``places`` are those of the clips in the order of training, see ``StepBatches``.
        """
        ...

    def shown(self, batch: Any) -> ClipPreview | None:
        """The first clip of the batch that was worked off last, with what was predicted."""
        ...


class ClipLoss(nn.Module):
    """Loss of clips whose objects are given by masks; see :mod:`voskit.trainers.losses`."""

    def __init__(self, network: Any, stage: StageConfig, seed: int) -> None:
        super().__init__()
        self.network = network
        self.stage = stage
        self.seed = seed
        self._predicted_THW: Tensor | None = None

    def parts(
        self, batch: ClipBatch, places: range, count: int, processes: Processes
    ) -> Iterator[tuple[Tensor, Tensor, list[int], Tensor]]:
        """Each with the order of identities of its clips, [B, O]."""
        identities = self.network.config.max_objects
        order = torch.from_numpy(identity_permutations(self.seed, places, identities)).to(batch.frames.device)
        self._predicted_THW = None
        for own in _slices(len(places), count):
            yield batch.frames[:, own], batch.labels[:, own], batch.counts[own], order[own]

    def forward(
        self, frames_TB3HW: Tensor, labels_TBHW: Tensor, counts: list[int], permutation_BO: Tensor, step: int
    ) -> Tensor:
        """Mean over the clips."""
        supervised = self.network.propagate_clips(
            frames_TB3HW, labels_TBHW, counts, stage=self.stage, step=step, permutation_BO=permutation_BO
        )
        if self._predicted_THW is None:
            self._predicted_THW = torch.stack([frame[-1].logits[0].detach().argmax(0) for frame in supervised])
        return CLIP_LOSSES[self.stage.loss](supervised, labels_TBHW, counts, self.stage, step)

    def shown(self, batch: ClipBatch) -> ClipPreview | None:
        """See ``Objective``."""
        if self._predicted_THW is None:
            return None
        return ClipPreview(batch.frames[:, 0], batch.labels[:, 0], self._predicted_THW)


class ReferringLoss(nn.Module):
    """Loss of clips whose object a sentence tells; see :mod:`voskit.trainers.referring_losses`."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.tokenizer = Tokenizer()
        self._predicted_Thw: Tensor | None = None

    def parts(
        self, batch: ReferringBatch, places: range, count: int, processes: Processes
    ) -> Iterator[tuple[ReferringBatch, Tensor]]:
        """Each with what its losses are divided by: the frames that show their object, of the mean process."""
        frames = processes.mean(batch.valid_TB.sum().float()).clamp(min=1)
        self._predicted_Thw = None
        for own in _slices(len(places), count):
            yield batch.part(own), frames / count

    def forward(self, batch: ReferringBatch, num_boxes: Tensor, step: int) -> Tensor:
        """The sum over the batch and all layers of the decoder, divided by ``num_boxes``."""
        frames = batch.frames_TB3HW.transpose(0, 1)
        layers = self.network(frames, self.tokenizer(batch.captions).to(frames.device), batch.sizes_B2)
        labels = torch.zeros(len(batch), dtype=torch.int64, device=frames.device)
        masks, boxes, valid = (x.transpose(0, 1) for x in (batch.masks_TBHW, batch.boxes_TB4, batch.valid_TB))
        target = Target(masks, boxes, valid, labels)
        if self._predicted_Thw is None:
            with torch.no_grad():
                self._predicted_Thw = layers[-1].masks[0, :, match(layers[-1], target)[0]]
        return referring_loss(layers, target, num_boxes)

    def shown(self, batch: ReferringBatch) -> ClipPreview | None:
        """See ``Objective``; the mask is that of the candidate which matches best."""
        if self._predicted_Thw is None:
            return None
        size = (batch.frames_TB3HW.shape[3], batch.frames_TB3HW.shape[4])
        masks = F.interpolate(self._predicted_Thw[:, None], size, mode="bilinear", align_corners=False)[:, 0] > 0
        return ClipPreview(batch.frames_TB3HW[:, 0], batch.masks_TBHW[:, 0].int(), masks.int())


def build_objective(network: Any, stage: StageConfig, seed: int) -> ClipLoss | ReferringLoss:
    """The objective of a stage.

    Raises:
        ValueError: the network isn't trained by stages of this kind, or scores several classes; an unknown loss.
    """
    referring = network.config.task == "referring"
    if referring != isinstance(stage, ReferringStageConfig):
        kind = "of sentences" if referring else "that propagate masks"
        raise ValueError(
            f"{type(network.config).__name__} is one of the models {kind}: {type(stage).__name__} is a stage of others"
        )
    if referring and network.config.num_classes != 1:
        raise ValueError(f"training scores one class, the network has num_classes={network.config.num_classes}")
    if not referring and stage.loss not in CLIP_LOSSES:
        raise ValueError(f"unknown loss {stage.loss!r} of {type(stage).__name__}: {suggest(stage.loss, CLIP_LOSSES)}")
    return ReferringLoss(network) if referring else ClipLoss(network, stage, seed)


def _slices(length: int, count: int) -> list[slice]:
    size = length // count
    return [slice(i * size, (i + 1) * size) for i in range(count)]
