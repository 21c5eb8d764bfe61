"""A validation rule turns what one validator measured into verdicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import ValidationObservation

ROUNDING = 1e-12
"""Accuracies are ratios of counts: keeps 0.68 - 0.60 from exceeding 0.08 by rounding."""


class ValidationRule(Plugin, ABC):
    """`observes` names what a validator needs beside accuracies: see `ValidationObservation`.

    `individual`: judges single updates. A rule that does not is shown nothing of them: all accuracies are NaN.
    """

    observes: ClassVar[frozenset[str]] = frozenset()
    individual: ClassVar[bool] = True

    @property
    def baseline_epochs(self) -> int:
        """Epochs that a validator trains the model it compares with; 0: none, -1: as many as workers."""
        return 0

    @abstractmethod
    def verdicts(self, seen: ValidationObservation) -> NDArray[np.bool_]:
        """`bool[n]`: True where the update should be accepted."""
