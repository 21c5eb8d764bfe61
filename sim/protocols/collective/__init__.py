"""DecentralML's collective economy: a creator's pools, the parties that earn them, who decides."""

from sim.protocols.collective.protocol import Collective

__all__ = ["Collective"]
