"""Training and evaluating many models at once: the rows of one matrix."""

from mechanisms.registry import Registry

models = Registry(
    "models",
    package="sim.learning.architectures",
    base="ModelSource",
    about="what is trained",
    key="model.name",
    suite="experiments.conformance.sources:ModelConformance",
)

__all__ = ["models"]
