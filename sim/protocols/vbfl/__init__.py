"""VBFL: workers train, validators vote, miners assemble blocks, one block wins and is processed."""

from sim.protocols.vbfl.protocol import Vbfl

__all__ = ["Vbfl"]
