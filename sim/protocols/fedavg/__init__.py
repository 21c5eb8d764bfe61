"""Vanilla federated averaging: every device trains, a server averages what arrives, nobody validates."""

from sim.protocols.fedavg.protocol import Fedavg

__all__ = ["Fedavg"]
