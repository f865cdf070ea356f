"""Training clips of AOT, DeAOT and AOST (AOT, section 5).

Shapes: T frames, B clips, K = max_objects + 1 identities, H W the input size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from voskit.networks.layers.memory_part import MemoryPart
from voskit.trainers.clips.features import encode_frames

if TYPE_CHECKING:
    from voskit.configs.stages import StageConfig
    from voskit.networks.models.aot import AOT, Features, Propagated
    from voskit.networks.models.base import Supervised


def propagate_aot_batch(
    network: AOT,
    frames_TB3HW: Tensor,
    labels_TBHW: Tensor,
    object_counts: Sequence[int],
    *,
    stage: StageConfig,
    step: int,
    permutation_BO: Tensor,
) -> list[list[Supervised]]:
    """Propagate a training batch as the stage's config defines; see :func:`voskit.trainers.clips.propagate_clips`.

    From ``stage.sequential_start`` on, the network's own predictions take the place of the true masks.
    """
    return propagate_aot_clips(
        network,
        frames_TB3HW,
        labels_TBHW,
        object_counts,
        own_predictions=step >= stage.sequential_start * stage.total_steps,
        fixed_identities=bool(stage.frozen_in_sequential),
        permutation_BO=permutation_BO,
    )


def propagate_aot_clips(
    network: AOT,
    frames_TB3HW: Tensor,
    labels_TBHW: Tensor,
    object_counts: Sequence[int],
    *,
    own_predictions: bool = False,
    fixed_identities: bool = True,
    permutation_BO: Tensor | None = None,
    long_term_gap: int | None = None,
) -> list[list[Supervised]]:
    """Propagate the first frame's mask through each clip.

    Args:
        network: an AOT or a network with the same functions, in training mode.
        frames_TB3HW: normalized RGB.
        labels_TBHW: integer identities, 0 is the background; other values (255) have no identity at all.
        object_counts: identities that each clip uses; logits of the others are -1e10.
        own_predictions: remember later frames with their predicted masks instead of the true ones.
        fixed_identities: with ``own_predictions``, identity embeddings get no gradient, as published.
        permutation_BO: shuffles identities so that the whole bank is trained: the network sees identity
            ``permutation[o - 1] + 1`` for o. Logits are in the order of the labels.
        long_term_gap: frames between two in the long-term memory. Default: the config's ``train_long_term_gap``.

    Returns:
        for each frame one or more supervised logits [B, K, H, W]; the last of them is the prediction. Those of the
        first frame come from its pass as a reference, which has seen its mask.
    """
    length, batch = frames_TB3HW.shape[:2]
    size = (frames_TB3HW.shape[3], frames_TB3HW.shape[4])
    gap = network.config.train_long_term_gap if long_term_gap is None else long_term_gap
    identities = network.config.max_objects + 1
    # identity that the network sees for each label; logits are brought back to the labels' order by a gather
    table_BK = torch.arange(identities, device=labels_TBHW.device).expand(batch, -1).clone()
    if permutation_BO is not None:
        table_BK[:, 1:] = permutation_BO + 1
    used_BK = torch.arange(identities, device=labels_TBHW.device) <= torch.tensor(
        object_counts, device=labels_TBHW.device
    ).unsqueeze(1)

    def encode_ids(labels_BHW: Tensor) -> Tensor:
        known = labels_BHW < identities
        rows = torch.arange(batch, device=labels_BHW.device)[:, None, None]
        shuffled = table_BK[rows, labels_BHW.long().where(known, 0)].where(known, 255)
        embedded = network.encode_ids(shuffled)
        return embedded.detach() if own_predictions and fixed_identities else embedded

    def decode(propagated: Propagated, features: Features) -> list[Supervised]:
        return [s._replace(logits=full_size(s.logits.float())) for s in network.supervise(propagated, features)]

    def full_size(logits: Tensor) -> Tensor:
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=network.config.align_corners)
        logits = logits.gather(1, table_BK[:, :, None, None].expand(-1, -1, *size))
        return logits.masked_fill(~used_BK[:, :, None, None], -1e10)

    features = encode_frames(network, frames_TB3HW)
    ids = encode_ids(labels_TBHW[0])
    propagated = network.refer(features[0], ids)
    logits = [decode(propagated, features[0])]
    short_term = network.remember(propagated.states, ids)
    long_term: list[list[MemoryPart]] = [short_term]
    stored = 0
    for t in range(1, length):
        read = [[_concatenate([memory[i] for memory in long_term])] for i in range(len(short_term))]
        propagated = network.propagate(features[t], read, short_term)
        logits.append(decode(propagated, features[t]))
        if t == length - 1:
            break
        labels = logits[t][-1].logits.argmax(1) if own_predictions else labels_TBHW[t]
        short_term = network.remember(propagated.states, encode_ids(labels))
        if t - stored >= gap:
            long_term.append(short_term)
            stored = t
    return logits


def _concatenate(parts: Sequence[MemoryPart]) -> MemoryPart:
    """Concatenate the frames of a memory; a bank's writes in place would break the gradient."""
    if len(parts) == 1:
        return parts[0]
    return MemoryPart(torch.cat([p.key for p in parts], 1), torch.cat([p.value for p in parts], 1))
