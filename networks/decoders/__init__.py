"""Decoders: from propagated features to logits."""

from voskit.networks.decoders.fpn import FPNDecoder, ScalableFPNDecoder
from voskit.networks.decoders.jointformer import FusingDecoder
from voskit.networks.decoders.xmem import RecurrentDecoder

__all__ = ["FPNDecoder", "FusingDecoder", "RecurrentDecoder", "ScalableFPNDecoder"]
