"""Memory banks and the policies that decide what they keep."""

from networks.memory.bank import FrameBank, MemoryPart
from networks.memory.layered import LayeredBank
from networks.memory.policies import EveryNthFrame, MemoryPolicy, StoredFrame

__all__ = ["EveryNthFrame", "FrameBank", "LayeredBank", "MemoryPart", "MemoryPolicy", "StoredFrame"]
