"""Operations with more than one implementation."""

from networks.ops.attention import attention
from networks.ops.local_attention import available_backends, local_attention

__all__ = ["attention", "available_backends", "local_attention"]
