"""What the families' clips share: all frames are encoded at once."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def features_of_frames(network: Any, frames_TB3HW: Tensor) -> list[Any]:
    """What ``encode_image`` gives for each frame: a named tuple, of which the first field is a list of maps."""
    length, batch = frames_TB3HW.shape[:2]
    features = network.encode_image(frames_TB3HW.flatten(0, 1))
    maps = [x.split(batch) for x in features.maps]
    rest = [x.split(batch) for x in features[1:]]
    return [type(features)([m[t] for m in maps], *(x[t] for x in rest)) for t in range(length)]
