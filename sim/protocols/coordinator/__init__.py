"""An on-chain coordinator: commit, reveal, verify, aggregate, dispute, settle."""

from sim.protocols.coordinator.protocol import Coordinator

__all__ = ["Coordinator"]
