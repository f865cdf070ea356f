"""Decoders: from propagated features to logits."""

from networks.decoders.fpn import FPNDecoder, ScalableFPNDecoder

__all__ = ["FPNDecoder", "ScalableFPNDecoder"]
