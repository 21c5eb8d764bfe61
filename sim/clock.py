"""The present round and the simulated time of a run."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite


@dataclass
class Clock:
    """`round`: number of the present or last round, 0 before the first.

    `time_s`: simulated seconds at its start or end.
    """

    round: int = 0
    time_s: float = 0.0

    def restore(self, round: int, time_s: float) -> None:
        """Go on from a round that has ended; raises `ValueError` for what no clock shows."""
        if type(round) is not int or round < 0:
            raise ValueError(f"round {round!r}: must be a whole number from 0 on")
        if not isfinite(time_s) or time_s < 0:
            raise ValueError(f"time_s {time_s!r}: must be a number of seconds from 0 on")
        self.round, self.time_s = round, time_s
