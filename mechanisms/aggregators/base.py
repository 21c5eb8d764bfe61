"""An aggregation rule combines many updates into one model."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms import answers
from mechanisms.geometry import finite_rows
from mechanisms.plugin import Plugin
from mechanisms.vocabulary import AggregationObservation, FloatMatrix


class AggregationRule(Plugin, ABC):
    """Base of aggregation rules.

    observes     what the rule needs beside the updates: {"root"} for an update of a clean data set
    convex       every coordinate of the result lies between the smallest and largest of the updates
    individual   needs single updates; a rule that does not needs only their (weighted) sum
    """

    sees = AggregationObservation
    observes: ClassVar[frozenset[str]] = frozenset()
    convex: ClassVar[bool] = True
    individual: ClassVar[bool] = True

    def aggregate(self, seen: AggregationObservation) -> FloatMatrix:
        """Return the next global model, `float32[P]`.

        Rows with NaN or infinity are left out; raises ValueError when no row is left. Must not
        depend on the order of the rows, except for ties.
        """
        finite = finite_rows(seen.updates)
        if not finite.all():
            if not finite.any():
                raise ValueError("no update is finite")
            kept = tuple(w for w, good in zip(seen.workers, finite, strict=True) if good)
            seen = dataclasses.replace(
                seen, workers=kept, updates=seen.updates[finite], samples=seen.samples[finite]
            )
        largest = np.finfo(np.float32).max
        shape = seen.updates.shape[1:]
        row = answers.array(self, "combine", self.combine(seen), shape=shape, kind=answers.FLOAT)
        return np.clip(row, -largest, largest).astype(np.float32)

    @abstractmethod
    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        """Aggregate one or more finite rows; return `[P]` in any floating-point width."""
