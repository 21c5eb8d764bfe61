"""Data sets and how they are split among devices."""

from mechanisms.registry import Registry

datasets = Registry("datasets", package="sim.data.sources", base="DatasetSource")

__all__ = ["datasets"]
