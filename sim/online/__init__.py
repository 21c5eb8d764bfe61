"""On-line models: they learn one sample at a time, and predict many."""

from mechanisms.registry import Registry

online_models = Registry(
    "online models",
    package="sim.online",
    base="OnlineModel",
    one="on-line model",
    about="models that a data market trains one sample at a time",
    key="market.model",
    suite="experiments.conformance.online:OnlineModelConformance",
)

__all__ = ["online_models"]
