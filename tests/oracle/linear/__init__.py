"""A slow account in plain Python, written from `docs/specification.md` alone: the oracle that the
kernel is held against.

It shares no code with the kernel. "spec 6.2" is a paragraph of the specification; names follow it.
"""

from tests.oracle.linear.account import ReferenceAccount
from tests.oracle.linear.legs import PARTS, Stress, Target

__all__ = ["PARTS", "ReferenceAccount", "Stress", "Target"]
