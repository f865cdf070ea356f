"""Engine protocol: the state of one video while its masks are propagated, for any family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from voskit.networks.engines.batching import StepCalls
from voskit.networks.engines.prediction import FrameProbabilities


@dataclass(frozen=True)
class Step:
    """Result of an engine for a frame."""

    prediction: FrameProbabilities | None
    """Probabilities, including a given mask; None while there are no objects."""
    slots_HW: Tensor
    """Most likely slot of each pixel at the output size, int32, 0 is the background."""


class Engine(Protocol):
    """The state of one video. ``VideoSegmenter`` and the benchmarks use engines only through this protocol.

    An engine is built from a network, a config and a memory policy (or None), in this order. Objects have ids, which
    the user chooses, and slots, which the engine assigns: 1, 2, ... in the order in which objects are added.
    """

    @property
    def object_ids(self) -> list[int]:
        """Ids of the objects, in the order of their slots."""
        ...

    @property
    def slots(self) -> list[int]:
        """Slots of the objects, ascending."""
        ...

    @property
    def memory_frames(self) -> int:
        """Number of frames in the long-term memory."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Number of bytes allocated for the long-term memory."""
        ...

    def step(
        self, image_13HW: Tensor, size: tuple[int, int], mask_HW: Tensor | None = None, complete: bool = False
    ) -> StepCalls[Step]:
        """Segment the next frame and remember it.

        This is a generator, see :mod:`voskit.networks.engines.batching`. It must yield ``Call(network.encode_image,
        (image,))`` for every frame that it encodes, and be sent the features. It should yield every other call of a
        predicted frame whose tensors have the video on their first axis, with one row: only such calls are batched over
        several videos. Everything else it calls directly: calls of reference frames, and calls with a row per object.

        Before the first mask, and after the last object has been deleted, it yields and remembers nothing, and returns
        ``Step(None, zeros)`` with int32 zeros of the output size.

        Args:
            image_13HW: normalized RGB at the network's input size.
            size: height and width of the output.
            mask_HW: object ids that the user gives, of any size. New ids become objects. Nonzero pixels override the
                prediction; zero leaves it as it is. A mask without any object counts as no mask.
            complete: the mask covers all objects, so its zeros are background.
        """
        ...

    def cut(self) -> None:
        """Drop the short-term memory: the next frame begins a new shot. The long-term memory is kept."""
        ...

    def delete_objects(self, ids: Iterable[int]) -> None:
        """Delete objects.

        Raises:
            ValueError: an id doesn't exist; nothing is deleted.
        """
        ...

    def reset(self) -> None:
        """Reset the engine: the next frame is the first of a new video."""
        ...


class DepthChoice(Protocol):
    """Additional methods of an engine whose config has ``depths``."""

    @property
    def depth(self) -> int:
        """Number of layers that are run."""
        ...

    def set_depth(self, depth: int) -> None:
        """Run ``depth`` layers from the next frame on, at any time of a video; ``reset`` keeps the depth.

        Raises:
            ValueError: the network wasn't built with this many layers.
        """
        ...
