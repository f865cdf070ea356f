"""Image features of all frames of a batch of training clips, encoded at once."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def encode_frames(network: Any, frames_TB3HW: Tensor) -> list[Any]:
    """Encode all frames of a batch in one call.

    Args:
        network: its ``encode_image`` returns a named tuple whose first field is a list of maps.
        frames_TB3HW: normalized RGB.

    Returns:
        the named tuple of each of the T frames, with batch B.
    """
    length, batch = frames_TB3HW.shape[:2]
    features = network.encode_image(frames_TB3HW.flatten(0, 1))
    maps = [x.split(batch) for x in features.maps]
    rest = [x.split(batch) for x in features[1:]]
    return [type(features)([m[t] for m in maps], *(x[t] for x in rest)) for t in range(length)]
