"""Vertical federated learning: parties hold features of the same samples, one holds the labels."""

from sim.protocols.vertical.protocol import Vertical

__all__ = ["Vertical"]
