"""Training clips: from a batch of short videos to the logits that a loss supervises, by family.

Clips are propagated side by side on the batch axis and with gradients. Engines, which run one video of unknown length,
are not involved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from voskit.configs import Registry
from voskit.configs.stages import StageConfig
from voskit.networks.models.base import Network, Supervised
from voskit.trainers.clips.aot import propagate_aot_batch
from voskit.trainers.clips.jointformer import propagate_jointformer_batch
from voskit.trainers.clips.xmem import propagate_xmem_batch

CLIPS: Registry[Callable[..., list[list[Supervised]]]] = Registry("family with training clips")
"""Functions with the arguments of :func:`propagate_clips`, by the ``family`` of a model's config."""

for _family in ("aot", "deaot", "aost"):
    CLIPS.register(_family)(propagate_aot_batch)
CLIPS.register("xmem")(propagate_xmem_batch)
CLIPS.register("jointformer")(propagate_jointformer_batch)


def propagate_clips(
    network: Network,
    frames_TB3HW: Tensor,
    labels_TBHW: Tensor,
    object_counts: Sequence[int],
    *,
    stage: StageConfig,
    step: int,
    permutation_BO: Tensor,
) -> list[list[Supervised]]:
    """Propagate the first frame's masks through a batch of training clips.

    A network that overrides :meth:`voskit.networks.models.base.Network.propagate_clips` is called itself; otherwise the
    function of its family in :data:`CLIPS`.

    Args:
        network: in training mode.
        frames_TB3HW: normalized RGB.
        labels_TBHW: object ids, 0 is the background.
        object_counts: number of objects of each clip.
        stage: the training stage.
        step: number of the training step, from 0 on.
        permutation_BO: a random order of the identities for each clip, for networks with an identity bank.

    Returns:
        supervised logits of each frame that enters the stage's loss; the last of a frame is its prediction.

    Raises:
        ValueError: the family can't be trained, or not in stages of this class.
    """
    clips = (frames_TB3HW, labels_TBHW, object_counts)
    overrides = type(network).propagate_clips is not Network.propagate_clips
    if overrides or network.config.family not in CLIPS:
        return network.propagate_clips(*clips, stage=stage, step=step, permutation_BO=permutation_BO)
    family = CLIPS.get(network.config.family)
    return family(network, *clips, stage=stage, step=step, permutation_BO=permutation_BO)
