"""An aggregation rule turns rows into one row."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import AggregationObservation, FloatMatrix


class AggregationRule(Plugin, ABC):
    """Called only with at least one row, all finite."""

    @abstractmethod
    def aggregate(self, seen: AggregationObservation) -> FloatMatrix:
        """The next global model, `float32[P]`; must not depend on the order of the rows beyond rounding."""
