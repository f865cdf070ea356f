"""Training objectives: modules that compute the loss of a batch of clips, so that DDP can synchronize gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voskit.configs.stages import ReferringStageConfig, StageConfig
from voskit.dataloaders.tokenizer import Tokenizer
from voskit.dataloaders.training import ClipBatch
from voskit.dataloaders.training.referring.clip import ReferringBatch
from voskit.trainers.clips import propagate_clips
from voskit.trainers.distributed import Processes
from voskit.trainers.losses import CLIP_LOSSES
from voskit.trainers.referring_losses import Target, match, referring_loss
from voskit.trainers.sampling import identity_permutations


class ClipPreview(NamedTuple):
    """A training clip with its prediction, for TensorBoard."""

    frames: Tensor
    """Normalized RGB, [T, 3, H, W]."""
    labels: Tensor
    """Object ids, [T, H, W]."""
    predicted: Tensor
    """Predicted object ids of the last T' frames, [T', H, W]. Some networks don't predict the first frame."""


class Objective(Protocol):
    """Interface that the trainer calls."""

    def parts(self, batch: Any, places: range, count: int, processes: Processes) -> Iterator[tuple[Any, ...]]:
        """Yield the arguments of the module for each of ``count`` equal parts of a batch.

        Args:
            batch: this process's part of the clips of a step.
            places: positions of the clips in the order of training, see ``StepBatches``.
            count: number of parts.
            processes: the processes that train together.
        """
        ...

    def preview(self, batch: Any) -> ClipPreview | None:
        """Return the first clip of the last batch with its prediction. None: there was no batch yet."""
        ...


class ClipLoss(nn.Module):
    """Loss of clips with masks as prompts, see :mod:`voskit.trainers.losses`.

    Args:
        network: a network that propagates masks.
        stage: the stage, which names the loss.
        seed: seed of the order of identities.
    """

    def __init__(self, network: Any, stage: StageConfig, seed: int) -> None:
        super().__init__()
        self.network = network
        self.stage = stage
        self.seed = seed
        self.loss = CLIP_LOSSES.get(stage.loss)
        self._predicted_THW: Tensor | None = None

    def parts(
        self, batch: ClipBatch, places: range, count: int, processes: Processes
    ) -> Iterator[tuple[Tensor, Tensor, list[int], Tensor]]:
        """Yield frames, labels, object counts, and the order of identities [B, O] of each part."""
        identities = self.network.config.max_objects
        order = torch.from_numpy(identity_permutations(self.seed, places, identities)).to(batch.frames.device)
        self._predicted_THW = None
        for own in _slices(len(places), count):
            yield batch.frames[:, own], batch.labels[:, own], batch.counts[own], order[own]

    def forward(
        self, frames_TB3HW: Tensor, labels_TBHW: Tensor, counts: list[int], permutation_BO: Tensor, step: int
    ) -> Tensor:
        """Return the mean loss over the clips."""
        supervised = propagate_clips(
            self.network, frames_TB3HW, labels_TBHW, counts, stage=self.stage, step=step, permutation_BO=permutation_BO
        )
        if self._predicted_THW is None:
            self._predicted_THW = torch.stack([frame[-1].logits[0].detach().argmax(0) for frame in supervised])
        return self.loss(supervised, labels_TBHW, counts, self.stage, step)

    def preview(self, batch: ClipBatch) -> ClipPreview | None:
        """See :class:`Objective`."""
        if self._predicted_THW is None:
            return None
        return ClipPreview(batch.frames[:, 0], batch.labels[:, 0], self._predicted_THW)


class ReferringLoss(nn.Module):
    """Loss of clips with text prompts, see :mod:`voskit.trainers.referring_losses`."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.tokenizer = Tokenizer()
        self._predicted_Thw: Tensor | None = None

    def parts(
        self, batch: ReferringBatch, places: range, count: int, processes: Processes
    ) -> Iterator[tuple[ReferringBatch, Tensor]]:
        """Yield each part with the divisor of its loss: frames that show their object, averaged over processes."""
        frames = processes.mean(batch.valid_TB.sum().float()).clamp(min=1)
        self._predicted_Thw = None
        for own in _slices(len(places), count):
            yield batch.part(own), frames / count

    def forward(self, batch: ReferringBatch, num_boxes: Tensor, step: int) -> Tensor:
        """Return the loss, summed over the batch and the decoder layers and divided by ``num_boxes``."""
        frames = batch.frames_TB3HW.transpose(0, 1)
        layers = self.network(frames, self.tokenizer(batch.captions).to(frames.device), batch.sizes_B2)
        labels = torch.zeros(len(batch), dtype=torch.int64, device=frames.device)
        masks, boxes, valid = (x.transpose(0, 1) for x in (batch.masks_TBHW, batch.boxes_TB4, batch.valid_TB))
        target = Target(masks, boxes, valid, labels)
        if self._predicted_Thw is None:
            with torch.no_grad():
                self._predicted_Thw = layers[-1].masks[0, :, match(layers[-1], target)[0]]
        return referring_loss(layers, target, num_boxes)

    def preview(self, batch: ReferringBatch) -> ClipPreview | None:
        """See :class:`Objective`. The prediction is the mask of the best-matching candidate."""
        if self._predicted_Thw is None:
            return None
        size = (batch.frames_TB3HW.shape[3], batch.frames_TB3HW.shape[4])
        masks = F.interpolate(self._predicted_Thw[:, None], size, mode="bilinear", align_corners=False)[:, 0] > 0
        return ClipPreview(batch.frames_TB3HW[:, 0], batch.masks_TBHW[:, 0].int(), masks.int())


def build_objective(network: Any, stage: StageConfig, seed: int) -> ClipLoss | ReferringLoss:
    """Build the objective of a stage.

    Raises:
        ValueError: the network and the stage have different prompts (masks, text), the network scores several classes,
            or the loss is unknown.
    """
    referring = network.config.task == "referring"
    if referring != isinstance(stage, ReferringStageConfig):
        takes, other = ("text prompts", "masks") if referring else ("masks", "text prompts")
        names = type(network.config).__name__, type(stage).__name__
        raise ValueError(f"{names[0]} takes {takes}, but {names[1]} is a stage for models that take {other}")
    if referring and network.config.num_classes != 1:
        raise ValueError(f"training needs a network with num_classes=1, not {network.config.num_classes}")
    return ReferringLoss(network) if referring else ClipLoss(network, stage, seed)


def _slices(length: int, count: int) -> list[slice]:
    size = length // count
    return [slice(i * size, (i + 1) * size) for i in range(count)]
