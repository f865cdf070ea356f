"""Quality of objects in a frame, their presence, and votes in connected regions."""

from voskit.networks.engines.quality.measures import (
    UNSURE_MARGIN,
    ObjectQuality,
    areas_of,
    object_qualities,
    predicted_quality,
)

__all__ = ["UNSURE_MARGIN", "ObjectQuality", "areas_of", "object_qualities", "predicted_quality"]
