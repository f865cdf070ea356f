"""Export of models as ONNX graphs, for ``voskit.runtime``."""
