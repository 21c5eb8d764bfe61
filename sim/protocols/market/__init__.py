"""A data market: contributors add labelled samples to an on-line model and are paid by a rule."""

from sim.protocols.market.protocol import Market

__all__ = ["Market"]
