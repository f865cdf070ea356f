"""Decoders: from propagated features to logits."""

from networks.decoders.fpn import FPNDecoder, ScalableFPNDecoder
from networks.decoders.fusing import FusingDecoder
from networks.decoders.recurrent import RecurrentDecoder

__all__ = ["FPNDecoder", "FusingDecoder", "RecurrentDecoder", "ScalableFPNDecoder"]
