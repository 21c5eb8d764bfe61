"""A validation rule turns what one validator measured into verdicts."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import ValidationObservation


class ValidationRule(Plugin, ABC):
    """`baseline_epochs` says how long a validator trains the model it compares with (0: it trains none)."""

    @property
    @abstractmethod
    def baseline_epochs(self) -> int: ...

    @abstractmethod
    def verdicts(self, seen: ValidationObservation) -> NDArray[np.bool_]:
        """`bool[n]`: True where the update should be accepted."""
