"""The present round and the simulated time of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """`round`: number of the present or last round, 0 before the first.

    `time_s`: simulated seconds at its start or end.
    """

    round: int = 0
    time_s: float = 0.0
