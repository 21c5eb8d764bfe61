"""When devices fetch the rewards of finished rounds: as they catch up with the server's chain."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from chain_bridge.plan import rows


class Adoption:
    """Heights of the chain that each device held after each round.

    A device is credited for a round when it learns of it: at the end of the round if it is there
    then, else at the start of the first round in which it comes back.
    """

    def __init__(self, participants: pd.DataFrame) -> None:
        self._heights: dict[int, dict[int, int]] = {}
        for r, device, height in rows(participants, "round", "device", "height"):
            self._heights.setdefault(int(r), {})[int(device)] = int(height)
        self._before: Mapping[int, int] = {}
        self._now: Mapping[int, int] = {}

    def begin(self, r: int) -> None:
        """Begin a round."""
        self._before, self._now = self._now, self._heights.get(r, {})

    def at_start(self, finished: int) -> list[int]:
        """Return who catches up at the start, when so many rounds were finished."""
        behind = {d: self._before.get(d, 0) for d in self._now}
        return sorted(d for d, h in behind.items() if h < self._now[d] and self._now[d] <= finished)

    def at_end(self, finished: int) -> list[int]:
        """Return who learns of a round at its end, after which so many were finished."""
        return sorted(
            d for d, h in self._now.items() if h == finished and self._before.get(d, 0) < h
        )
