"""What every family's engine offers: the state of one video while it is propagated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from voskit.networks.engines.batching import Work
from voskit.networks.engines.prediction import FrameProbabilities


@dataclass(frozen=True)
class Step:
    """What an engine gives for a frame."""

    prediction: FrameProbabilities | None
    """Probabilities, in which a given mask has its part; None while there are no objects."""
    slots_HW: Tensor
    """Slot of each pixel at the output size (int32, 0 is the background): the likeliest one."""


class Engine(Protocol):
    """The state of one video. ``VideoSegmenter``, benchmarks and trainers know engines by this protocol only."""

    @property
    def object_ids(self) -> list[int]:
        """The users' object ids in the order of their slots."""
        ...

    @property
    def slots(self) -> list[int]:
        """The objects' slots, ascending."""
        ...

    @property
    def memory_frames(self) -> int:
        """Number of frames in the long-term memory."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated for the long-term memory."""
        ...

    def work(
        self, image_13HW: Tensor, size: tuple[int, int], mask_HW: Tensor | None = None, complete: bool = False
    ) -> Work[Step]:
        """Segment the next frame and remember it, by calls that :mod:`voskit.networks.engines.batching` makes.

        Args:
            image_13HW: normalised RGB at the network's input size.
            size: height and width of the output.
            mask_HW: users' object ids, of any size, where the user gives them; 0 leaves the prediction as it is.
                Ids that are new are objects from here on. Pixels that aren't 0 win over the prediction.
            complete: the mask says where all objects are: its 0 is the background.
        """
        ...

    def delete_objects(self, ids: Iterable[int]) -> None:
        """Forget objects; an id that isn't there is a ``ValueError``."""
        ...

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a new video."""
        ...


class DepthChoice(Protocol):
    """What the engine of a model whose config has ``depths`` offers besides."""

    @property
    def depth(self) -> int:
        """Layers that are run."""
        ...

    def set_depth(self, depth: int) -> None:
        """Run another number of layers from the next frame on, at any time of a video; it stays over ``reset``.

        Raises:
            ValueError: the network isn't built so deep.
        """
        ...
