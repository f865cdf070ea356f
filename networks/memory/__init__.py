"""Memory banks and the policies that decide what they keep."""

from voskit.networks.memory.bank import FrameBank, MemoryPart
from voskit.networks.memory.layered import LayeredBank
from voskit.networks.memory.matching import AnisotropicMatching, DotProductMatching, Matching
from voskit.networks.memory.policies import EveryNthFrame, FirstAndLatest, MemoryPolicy, StoredFrame
from voskit.networks.memory.prototype_bank import PrototypeBank
from voskit.networks.memory.prototypes import PrototypeMemory, PrototypePolicy
from voskit.networks.memory.sensory import SensoryMemory
from voskit.networks.memory.table import Table

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
