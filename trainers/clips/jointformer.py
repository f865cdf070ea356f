"""Training clips of JointFormer.

Shapes: T frames, B clips, O objects of a clip, K = B * O, H W the input size, L = H / 16 * W / 16 positions, C
channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from voskit.configs.stages import JointFormerStageConfig, StageConfig
from voskit.networks.layers.memory_part import MemoryPart
from voskit.networks.models.base import Supervised
from voskit.networks.ops.aggregation import aggregate
from voskit.trainers.clips.references import draw_references, frames_in_memory

if TYPE_CHECKING:
    from voskit.networks.models.jointformer.network import JointFormer


def propagate_jointformer_batch(
    network: JointFormer,
    frames_TB3HW: Tensor,
    labels_TBHW: Tensor,
    object_counts: Sequence[int],
    *,
    stage: StageConfig,
    step: int,
    permutation_BO: Tensor,
) -> list[list[Supervised]]:
    """Propagate a training batch as the stage's config defines; see :func:`voskit.trainers.clips.propagate_clips`.

    Objects have no identities, so there is nothing to permute. The first frame has no logits.
    """
    if not isinstance(stage, JointFormerStageConfig):
        expected = JointFormerStageConfig.__name__
        raise ValueError(f"JointFormer needs a stage that derives from {expected}, not {type(stage).__name__}")
    length, batch = frames_TB3HW.shape[:2]
    logits = propagate_jointformer_clips(
        network,
        frames_TB3HW,
        labels_TBHW,
        object_counts,
        objects=stage.max_objects or network.config.max_objects,
        reference_frames=stage.reference_frames,
        token_updates=(torch.rand(max(0, length - 2)) < stage.token_update_prob).tolist(),
        references=draw_references(length, batch, stage.reference_frames),
    )
    return [[Supervised(1.0, x)] for x in logits]


def propagate_jointformer_clips(
    network: JointFormer,
    frames_TB3HW: Tensor,
    labels_TBHW: Tensor,
    object_counts: Sequence[int],
    *,
    objects: int,
    reference_frames: int,
    token_updates: Sequence[bool],
    references: Sequence[Tensor],
) -> list[Tensor]:
    """Propagate the first frame's mask through each clip, with predicted masks; the whole memory is read.

    Args:
        network: a JointFormer in training mode.
        frames_TB3HW: normalized RGB.
        labels_TBHW: integers, 0 is the background, 1 to O the objects; only the first frame's are seen.
        object_counts: number of objects of each clip; the others are absent.
        objects: O.
        reference_frames: maximum number of frames in memory: the first one and others drawn at random.
        token_updates: True for those of frames 1 to T - 2 that also update the tokens as memory frames; the first
            frame always does.
        references: the drawn frames, from ``draw_references``.

    Returns:
        logits [B, O + 1, H, W] of frames 1 to T - 1, the background first.
    """
    length, batch = frames_TB3HW.shape[:2]
    device = labels_TBHW.device
    identities = torch.arange(1, objects + 1, device=device)
    present_BO = identities <= torch.tensor(object_counts, device=device)[:, None]
    masks_KHW = (labels_TBHW[0][:, None] == identities[:, None, None]).float().flatten(0, 1)
    first, tokens = network.remember(frames_TB3HW[0], masks_KHW, network.new_tokens(batch * objects))
    assert tokens is not None
    remembered = [first]
    logits = []
    for t in range(1, length):
        features = network.encode_image(frames_TB3HW[t])
        chosen = frames_in_memory(t, reference_frames, references, batch, device)
        f16 = network.read(features, _memory(remembered, chosen))
        own, fusion = network.decode(features, f16, tokens)
        own_BOHW = own.float().sigmoid().unflatten(0, (batch, objects)) * present_BO[:, :, None, None]
        logits.append(aggregate(own_BOHW, dim=1))
        if t == length - 1:
            break
        tokens = network.update_tokens(fusion, tokens)
        masks_KHW = logits[-1].softmax(1)[:, 1:].flatten(0, 1)
        parts, updated = network.remember(frames_TB3HW[t], masks_KHW, tokens if token_updates[t - 1] else None)
        remembered.append(parts)
        tokens = tokens if updated is None else updated
    return logits


def _memory(remembered: Sequence[Sequence[MemoryPart]], chosen_BN: Tensor) -> list[MemoryPart]:
    """Gather keys and values of the chosen frames for each block, [K, N * L, C]."""
    batch = len(chosen_BN)
    rows = torch.arange(batch, device=chosen_BN.device)[:, None]

    def gather(frames_KLC: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack([x.unflatten(0, (batch, -1)) for x in frames_KLC], 1)  # [B, T, O, L, C]
        return stacked[rows, chosen_BN].transpose(1, 2).flatten(2, 3).flatten(0, 1)

    return [MemoryPart(*(gather(x) for x in zip(*parts, strict=True))) for parts in zip(*remembered, strict=True)]
