"""A creator's behaviour decides which submissions of a task it accepts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import CreatorObservation


class Creator(Plugin, ABC):
    """Base of creators. `knows` names what is shown beside the answers: see the observation."""

    sees = CreatorObservation
    knows: ClassVar[frozenset[str]] = frozenset()
    keeps: ClassVar[bool] = False
    """Whether it trains on answers that it refused to pay."""

    @abstractmethod
    def accept(self, seen: CreatorObservation) -> NDArray[np.bool_]:
        """Return which submissions it accepts and pays in full, `bool[n]`."""
