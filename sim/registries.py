"""Where protocols are looked up by name."""

from mechanisms.registry import Registry

protocols = Registry(
    "protocols",
    package="sim.protocols",
    base="sim.protocol:Protocol",
    about="games: who acts when, what is paid, what is recorded",
    key="protocol",
    suite="experiments.conformance.protocols:ProtocolConformance",
)

__all__ = ["protocols"]
