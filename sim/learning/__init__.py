"""Training and evaluating many models at once: the rows of one matrix."""

from mechanisms.registry import Registry

models = Registry("models", package="sim.learning.architectures", base="ModelSource")

__all__ = ["models"]
