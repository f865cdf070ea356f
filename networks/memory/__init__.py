"""Memory banks and the policies that decide what they keep."""

from networks.memory.bank import FrameBank, MemoryPart
from networks.memory.layered import LayeredBank
from networks.memory.matching import AnisotropicMatching, DotProductMatching, Matching
from networks.memory.policies import EveryNthFrame, FirstAndLatest, MemoryPolicy, StoredFrame
from networks.memory.prototype_bank import PrototypeBank
from networks.memory.prototypes import PrototypeMemory, PrototypePolicy
from networks.memory.sensory import SensoryMemory
from networks.memory.table import Table

__all__ = [
    "AnisotropicMatching",
    "DotProductMatching",
    "EveryNthFrame",
    "FirstAndLatest",
    "FrameBank",
    "LayeredBank",
    "Matching",
    "MemoryPart",
    "MemoryPolicy",
    "PrototypeBank",
    "PrototypeMemory",
    "PrototypePolicy",
    "SensoryMemory",
    "StoredFrame",
    "Table",
]
