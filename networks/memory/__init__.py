"""Memory banks, and the policies that decide which frames they keep.

Banks of prototypes and other memories are imported from their own modules.
"""

from voskit.networks.memory.bank import Bank, FrameBank
from voskit.networks.memory.policies import (
    POLICIES,
    EveryNthFrame,
    FirstAndLatest,
    MemoryPolicy,
    StoredFrame,
    build_policy,
)

__all__ = [
    "POLICIES",
    "Bank",
    "EveryNthFrame",
    "FirstAndLatest",
    "FrameBank",
    "MemoryPolicy",
    "StoredFrame",
    "build_policy",
]
