"""Exported models without PyTorch: NumPy, OpenCV and ONNX Runtime only.

>>> from voskit.runtime import OnnxSegmenter
>>> segmenter = OnnxSegmenter("exported")
>>> ids = segmenter.step(frame, mask=first_mask)

Nothing here imports another part of the package, and importing ``voskit`` imports no library.
"""

from voskit.runtime.referring import OnnxReferringSegmenter
from voskit.runtime.segmenter import OnnxSegmenter

__all__ = ["OnnxReferringSegmenter", "OnnxSegmenter"]
