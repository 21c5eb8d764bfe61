"""Asynchronous federated learning: whoever is ready sends, and stale updates count less."""

from sim.protocols.asynchronous.protocol import Asynchronous

__all__ = ["Asynchronous"]
