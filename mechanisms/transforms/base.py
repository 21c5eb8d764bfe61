"""A transform maps the updates of a block to as many others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import AggregationObservation, FloatMatrix


class Transform(Plugin, ABC):
    """Row i of the result stands for row i of what came in; no row is added or left out.

    `individual`: needs single updates. One that does not does the same to all, so that it may be done to their sum.
    """

    individual: ClassVar[bool] = True

    @abstractmethod
    def apply(self, seen: AggregationObservation) -> FloatMatrix:
        """`float32[n, P]` from finite updates `float32[n, P]`; must not write into them."""
