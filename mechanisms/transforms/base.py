"""A transform maps the updates of a block to as many others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import AggregationObservation, FloatMatrix


class Transform(Plugin, ABC):
    """Base of transforms. Row i of the result stands for row i of the input; no row is added.

    `individual`: needs single updates. A transform that does not treats all rows alike, so that it
    may be applied to their sum.
    """

    individual: ClassVar[bool] = True

    @abstractmethod
    def apply(self, seen: AggregationObservation) -> FloatMatrix:
        """Return `float32[n, P]` from finite updates `float32[n, P]`; must not write into them."""
