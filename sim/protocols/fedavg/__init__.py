"""Federated averaging: every device trains, a server averages, nobody validates."""

from sim.protocols.fedavg.protocol import Fedavg

__all__ = ["Fedavg"]
