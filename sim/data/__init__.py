"""Data sets and how they are split among devices."""

from mechanisms.registry import Registry

datasets = Registry(
    "datasets",
    package="sim.data.sources",
    base="DatasetSource",
    one="data set",
    about="what is learned from",
    key="data.dataset",
    suite="experiments.conformance.sources:DatasetConformance",
)

__all__ = ["datasets"]
