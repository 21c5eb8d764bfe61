"""Where protocols are looked up by name."""

from mechanisms.registry import Registry

protocols = Registry("protocols", package="sim.protocols", base="sim.protocol:Protocol")

__all__ = ["protocols"]
