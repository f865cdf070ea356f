"""Decoders: from propagated features to logits."""

from networks.decoders.fpn import FPNDecoder

__all__ = ["FPNDecoder"]
