"""The on-chain proof of concept: stake to join, train, claim by the hash of a wallet."""

from sim.protocols.poc.protocol import Poc

__all__ = ["Poc"]
