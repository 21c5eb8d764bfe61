"""Extremes of measures that may be unknown: NaN and null are neither the largest nor the least."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd

Best = Literal["max", "min"]
"""Which direction of a measure is good."""


def place_of(extreme: Best, values: Iterable[Any]) -> int | None:
    """Return the place, from 0, of the largest ("max") or least ("min") known value.

    Of equal values the first counts. None where no value is known.
    """
    numbers = np.array([np.nan if pd.isna(v) else float(v) for v in values])
    places = np.flatnonzero(~np.isnan(numbers))
    if len(places) == 0:
        return None
    # Not `nanargmin`: it puts infinity in place of a gap and takes the gap for an infinite value.
    known = numbers[places]
    within = known.argmax() if extreme == "max" else known.argmin()
    return int(places[within])


def opposite(best: Best) -> Best:
    """Return the bad direction of a measure."""
    return "min" if best == "max" else "max"
