"""Clips in training: several short videos side by side, with gradients, from their true or their own masks.

Shapes: T frames, B clips, K = max_objects + 1 identities, H W the input size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from voskit.networks.clips.features import features_of_frames
from voskit.networks.memory import MemoryPart

if TYPE_CHECKING:
    from voskit.networks.models.aot import AOT, Features, Propagated
    from voskit.networks.supervised import Supervised


def propagate_clips(
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
    """Propagate the first frame's mask through each clip (AOT, section 5) -> what is supervised of each frame.

    That are one or more logits [B, K, H, W]; predicted masks are those of the last of them. The first frame's are those
    of the reference frame, which has seen its own mask.

    Args:
        network: an AOT or a network that is built like it, in training mode.
        frames_TB3HW: normalised RGB.
        labels_TBHW: integer identities, 0 the background; values that are no identity (255) are nothing at all.
        object_counts: identities that each clip uses; logits of others are -1e10.
        own_predictions: what is remembered of later frames are the predicted masks; else the true masks are.
        fixed_identities: with ``own_predictions``, identity embeddings get no gradient, as published.
        permutation_BO: shuffles identities so that all of the bank's are learned: the network sees identity
            ``permutation[o - 1] + 1`` for o. Logits are in the order of the labels.
        long_term_gap: frames between two in the long-term memory; None: the config's for training.
    """
    length, batch = frames_TB3HW.shape[:2]
    size = (frames_TB3HW.shape[3], frames_TB3HW.shape[4])
    gap = network.config.train_long_term_gap if long_term_gap is None else long_term_gap
    identities = network.config.max_objects + 1
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

    features = features_of_frames(network, frames_TB3HW)
    ids = encode_ids(labels_TBHW[0])
    propagated = network.refer(features[0], ids)
    logits = [decode(propagated, features[0])]
    short_term = network.remember(propagated.states, ids)
    long_term: list[list[MemoryPart]] = [short_term]
    stored = 0
    for t in range(1, length):
        read = [[_joined([memory[i] for memory in long_term])] for i in range(len(short_term))]
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


def _joined(parts: Sequence[MemoryPart]) -> MemoryPart:
    """Frames one after the other; few and with gradients, so they are concatenated."""
    if len(parts) == 1:
        return parts[0]
    return MemoryPart(torch.cat([p.key for p in parts], 1), torch.cat([p.value for p in parts], 1))
