"""A validation rule turns the measurements of one validator into verdicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import ValidationObservation
from mechanisms.vocabulary.rules import INDIVIDUAL

ROUNDING = 1e-12
"""Accuracies are ratios of counts: keeps 0.68 - 0.60 from exceeding 0.08 by rounding."""


class ValidationRule(Plugin, ABC):
    """Base of validation rules. `observes` names what is shown beside accuracies.

    See `ValidationObservation`. `individual`: judges single updates. A rule that does not is shown
    nothing of them.
    """

    sees = ValidationObservation

    observes: ClassVar[frozenset[str]] = frozenset()
    individual: ClassVar[bool] = True

    @property
    def baseline_epochs(self) -> int:
        """Epochs that a validator trains the baseline model; 0: none, -1: as many as workers."""
        return 0

    def shown(self, seen: ValidationObservation) -> ValidationObservation:
        """Return what the rule may see of an observation."""
        return seen.shown_to(self.observes | ({INDIVIDUAL} if self.individual else set()))

    @abstractmethod
    def verdicts(self, seen: ValidationObservation) -> NDArray[np.bool_]:
        """Return `bool[n]`: True for each update that should be accepted."""
