"""XMem's clips in training: several short videos side by side, with gradients, from their own predicted masks.

Shapes: T frames, B clips, O objects of a clip, K = B * O, H W the input size, Q = H / 16 * W / 16 positions, D channels
of values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from voskit.networks.clips.features import features_of_frames
from voskit.networks.clips.references import frames_in_memory
from voskit.networks.layers.maps import to_map, to_sequence
from voskit.networks.ops.affinity import anisotropic_similarity
from voskit.networks.ops.aggregation import aggregate

if TYPE_CHECKING:
    from voskit.networks.models.xmem import ImageFeatures, XMem


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
    """Propagate the first frame's mask through each clip (XMem, section 3.5) -> logits [B, O + 1, H, W].

    Logits are those of frames 1 to T - 1, the background first; the first frame has none.

    Args:
        network: an XMem in training mode.
        frames_TB3HW: normalised RGB.
        labels_TBHW: integers, 0 the background, 1 to O; of these only the first frame's are seen.
        object_counts: objects that each clip has; others are absent.
        objects: O.
        reference_frames: frames in memory at most: the first one and others that are drawn.
        deep_update: whether frames 1 to T - 2 get a deep update of the sensory memory.
        references: which frames besides the first one are in memory, see ``draw_references``.
    """
    length, batch = frames_TB3HW.shape[:2]
    features = features_of_frames(network, frames_TB3HW)
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
    """Which of frames 1 to T - 2 get a deep update; drawn once for a whole batch."""
    return (torch.rand(max(0, length - 2)) < probability).tolist()


def _read(features: Sequence[ImageFeatures], values_BOQD: Sequence[Tensor], t: int, chosen_BN: Tensor) -> Tensor:
    """What frame ``t`` reads of the chosen earlier ones, by a softmax over all of their positions -> [K, D, h, w]."""
    query = features[t]
    rows = torch.arange(len(chosen_BN), device=chosen_BN.device)[:, None]

    def of_memory(maps: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack([to_sequence(x) for x in maps[:t]], 1)
        return stacked[rows, chosen_BN].flatten(1, 2)

    similarity = anisotropic_similarity(
        of_memory([f.key for f in features]),
        of_memory([f.shrinkage for f in features]),
        to_sequence(query.key),
        to_sequence(query.selection),
    )
    value = torch.stack(list(values_BOQD[:t]), 1)[rows, chosen_BN]  # [B, N, O, Q, D]
    value = value.transpose(1, 2).flatten(2, 3)
    read = similarity.softmax(2).to(value.dtype)[:, None] @ value
    return to_map(read.flatten(0, 1), (query.key.shape[2], query.key.shape[3]))
