"""Hierarchical federated learning: edges aggregate their regions, a server the edges."""

from sim.protocols.hierarchical.protocol import Hierarchical

__all__ = ["Hierarchical"]
