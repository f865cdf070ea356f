"""Training clips of XMem (section 3.5).

Shapes: T frames, B clips, O objects of a clip, K = B * O, H W the input size, Q = H / 16 * W / 16 positions, D channels
of values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from voskit.configs.stages import StageConfig, XMemStageConfig
from voskit.networks.layers.maps import to_map, to_sequence
from voskit.networks.models.base import Supervised
from voskit.networks.ops.affinity import anisotropic_similarity
from voskit.networks.ops.aggregation import aggregate
from voskit.trainers.clips.features import encode_frames
from voskit.trainers.clips.references import draw_references, frames_in_memory

if TYPE_CHECKING:
    from voskit.networks.models.xmem import ImageFeatures, XMem


def propagate_xmem_batch(
    network: XMem,
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
    if not isinstance(stage, XMemStageConfig):
        raise ValueError(f"XMem needs a stage that derives from XMemStageConfig, not {type(stage).__name__}")
    length, batch = frames_TB3HW.shape[:2]
    logits = propagate_xmem_clips(
        network,
        frames_TB3HW,
        labels_TBHW,
        object_counts,
        objects=stage.max_objects or network.config.max_objects,
        reference_frames=stage.reference_frames,
        deep_update=draw_deep_updates(length, stage.deep_update_prob),
        references=draw_references(length, batch, stage.reference_frames),
    )
    return [[Supervised(1.0, x)] for x in logits]


def propagate_xmem_clips(
    network: XMem,
    frames_TB3HW: Tensor,
    labels_TBHW: Tensor,
    object_counts: Sequence[int],
    *,
    objects: int,
    reference_frames: int,
    deep_update: Sequence[bool],
    references: Sequence[Tensor],
) -> list[Tensor]:
    """Propagate the first frame's mask through each clip, with predicted masks.

    Args:
        network: an XMem in training mode.
        frames_TB3HW: normalized RGB.
        labels_TBHW: integers, 0 is the background, 1 to O the objects; only the first frame's are seen.
        object_counts: number of objects of each clip; the others are absent.
        objects: O.
        reference_frames: maximum number of frames in memory: the first one and others drawn at random.
        deep_update: True for those of frames 1 to T - 2 that get a deep update of the sensory memory.
        references: the drawn frames, from ``draw_references``.

    Returns:
        logits [B, O + 1, H, W] of frames 1 to T - 1, the background first.
    """
    length, batch = frames_TB3HW.shape[:2]
    features = encode_frames(network, frames_TB3HW)
    identities = torch.arange(1, objects + 1, device=labels_TBHW.device)
    present_BO = identities <= torch.tensor(object_counts, device=labels_TBHW.device)[:, None]
    masks_BOHW = (labels_TBHW[0][:, None] == identities[:, None, None]).float()
    hidden: Tensor | None = None
    if network.config.hidden_dim:
        size = features[0].key.shape[2:]
        hidden = features[0].key.new_zeros(batch * objects, network.config.hidden_dim, *size)
    value, hidden = network.encode_value(frames_TB3HW[0], features[0], masks_BOHW.flatten(0, 1), hidden, True)
    values = [to_sequence(value).unflatten(0, (batch, objects))]
    logits = []
    for t in range(1, length):
        chosen = frames_in_memory(t, reference_frames, references, batch, labels_TBHW.device)
        readout = _read(features, values, t, chosen)
        own, hidden = network.decode(features[t], readout, hidden, t < length - 1)
        own_BOHW = own.float().sigmoid().unflatten(0, (batch, objects)) * present_BO[:, :, None, None]
        logits.append(aggregate(own_BOHW, dim=1))
        if t == length - 1:
            break
        masks_BOHW = logits[-1].softmax(1)[:, 1:]
        value, hidden = network.encode_value(
            frames_TB3HW[t], features[t], masks_BOHW.flatten(0, 1), hidden, deep_update[t - 1]
        )
        values.append(to_sequence(value).unflatten(0, (batch, objects)))
    return logits


def draw_deep_updates(length: int, probability: float) -> list[bool]:
    """Draw which of frames 1 to T - 2 get a deep update, once for the whole batch."""
    return (torch.rand(max(0, length - 2)) < probability).tolist()


def _read(features: Sequence[ImageFeatures], values_BOQD: Sequence[Tensor], t: int, chosen_BN: Tensor) -> Tensor:
    """Read the chosen earlier frames for frame ``t``, by a softmax over all of their positions -> [K, D, h, w]."""
    query = features[t]
    rows = torch.arange(len(chosen_BN), device=chosen_BN.device)[:, None]

    def gather(maps: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack([to_sequence(x) for x in maps[:t]], 1)
        return stacked[rows, chosen_BN].flatten(1, 2)

    similarity = anisotropic_similarity(
        gather([f.key for f in features]),
        gather([f.shrinkage for f in features]),
        to_sequence(query.key),
        to_sequence(query.selection),
    )
    value = torch.stack(list(values_BOQD[:t]), 1)[rows, chosen_BN]  # [B, N, O, Q, D]
    value = value.transpose(1, 2).flatten(2, 3)
    read = similarity.softmax(2).to(value.dtype)[:, None] @ value
    return to_map(read.flatten(0, 1), (query.key.shape[2], query.key.shape[3]))
