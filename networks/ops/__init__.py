"""Operations on tensors, some with several implementations."""

from voskit.networks.ops.attention import attention, sharpness
from voskit.networks.ops.identity_patches import embed_identities
from voskit.networks.ops.local_attention import available_backends, local_attention

__all__ = ["attention", "available_backends", "embed_identities", "local_attention", "sharpness"]
