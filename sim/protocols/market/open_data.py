"""The data that can still be claimed, and who may claim what of them now.

Every datum is young at first; once it is old enough to be claimed it has a slot. Who may claim what
is found by a few operations on all slots at once, and the model predicts each slot again only when
it may have changed its mind: the cost of an act does not grow with the number of data.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mechanisms.markets.base import MarketRule
from mechanisms.vocabulary import Datum
from sim.online.base import OnlineModel
from sim.online.watch import Watch

ROOM = 256
"""Slots at first; they double when they are full of data that are open."""


class OpenData:
    """Accepted data that are not settled, oldest first.

    Args:
        rule: whose waits decide.
        model: what predicts their labels.
    """

    def __init__(self, rule: MarketRule, model: OnlineModel) -> None:
        self._rule = rule
        self._refund_s = rule.refund_wait_s
        self._inclusive = rule.inclusive
        self.young: deque[Datum] = deque()
        self._watch = Watch(model)
        self._slots: list[Datum | None] = []
        self._author = np.empty(ROOM, dtype=np.int64)
        self._label = np.empty(ROOM, dtype=np.int64)
        self._open = np.zeros(ROOM, dtype=bool)
        self._places = np.zeros(ROOM, dtype=np.int64)
        self._reported: dict[int, NDArray[np.bool_]] = {}
        self._alive = 0
        self._first = 0

    def __len__(self) -> int:
        return len(self.young) + self._alive

    def __iter__(self) -> Iterator[Datum]:
        """Yield all of them, oldest first."""
        yield from (datum for datum in self._slots if datum is not None)
        yield from self.young

    def add(self, datum: Datum) -> None:
        """Add the newest datum."""
        self.young.append(datum)

    def ripen(self, time_s: float) -> None:
        """Give a slot to every datum that is old enough to be claimed by now."""
        young = self.young
        while young and self._ripe(time_s - young[0].time_s):
            self._seat(young.popleft())

    def _ripe(self, age_s: float) -> bool:
        """Return whether a datum of this age can be refunded, reported or swept."""
        if age_s >= self._refund_s:
            return self._inclusive or age_s > self._refund_s
        return False

    def _seat(self, datum: Datum) -> None:
        slot = len(self._slots)
        if slot == len(self._open):
            self._compact()
            slot = len(self._slots)
        self._slots.append(datum)
        self._author[slot], self._label[slot] = datum.author, datum.label
        self._open[slot] = True
        for reporter in datum.claimed_by:
            if reporter != datum.author:
                self._mask(reporter)[slot] = True
        self._places[slot] = self._watch.add(datum.row)
        self._alive += 1

    def _compact(self) -> None:
        """Move open slots together; double the room when more than half of it is open."""
        kept = np.flatnonzero(self._open[: len(self._slots)])
        room = len(self._open)
        if 2 * len(kept) > room:
            room *= 2
        self._author = _moved(self._author, kept, room)
        self._label = _moved(self._label, kept, room)
        self._open = _moved(self._open, kept, room)
        self._reported = {d: _moved(mask, kept, room) for d, mask in self._reported.items()}
        self._slots = [self._slots[slot] for slot in kept.tolist()]
        self._places = _moved(self._places, kept, room)
        self._first = 0

    def _mask(self, device: int) -> NDArray[np.bool_]:
        mask = self._reported.get(device)
        if mask is None:
            mask = self._reported[device] = np.zeros(len(self._open), dtype=bool)
        return mask

    # --- who may claim what -------------------------------------------------------------------

    def sweepable(self, device: int, time_s: float) -> Iterator[tuple[int, Datum]]:
        """Yield slot and datum of what a device may take by now whatever it is, oldest first."""
        slots, wait_s = self._slots, self._rule.sweeps_after_s(device)
        slot = self._first
        while slot < len(slots):
            datum = slots[slot]
            if datum is not None:
                if time_s - datum.time_s < wait_s:
                    return
                yield slot, datum
            slot += 1

    def candidates(self, device: int, *, reports: bool) -> list[int]:
        """Return the slots, oldest first, that a device can claim under the present model.

        Args:
            device: its own data that the model agrees with, to be refunded.
            reports: with the data of others that it does not agree with and has not reported.
        """
        n = len(self._slots)
        if not self._alive:
            return []
        agrees = self._watch.predictions()[self._places[:n]] == self._label[:n]
        own = self._author[:n] == device
        found = own & agrees
        if reports:
            others = ~(agrees | own)
            mask = self._reported.get(device)
            if mask is not None:
                others &= ~mask[:n]
            found |= others
        found &= self._open[:n]
        return found.nonzero()[0].tolist()

    def datum(self, slot: int) -> Datum | None:
        """Return the datum in a slot, None when it is settled."""
        return self._slots[slot]

    def agrees(self, slot: int) -> bool:
        """Return whether the present model predicts the label of a slot's datum."""
        return bool(self._watch.predictions()[self._places[slot]] == self._label[slot])

    def claimed(self, slot: int, datum: Datum, device: int) -> None:
        """Note that a claim was accepted; the datum's record says so already."""
        if device != datum.author:
            self._mask(device)[slot] = True
        if self._rule.settled(datum):
            self._slots[slot] = None
            self._open[slot] = False
            self._watch.drop(int(self._places[slot]))
            self._alive -= 1
            while self._first < len(self._slots) and self._slots[self._first] is None:
                self._first += 1

    # --- when -----------------------------------------------------------------------------------

    def next_young_s(self, device: int, own: bool) -> float:
        """Return when the first young datum of a device, or of others, can be claimed; inf."""
        for datum in self.young:
            if (datum.author == device) == own:
                return datum.time_s + self._refund_s
        return float("inf")

    def next_sweep_s(self, device: int) -> float:
        """Return when a device can sweep the oldest datum; inf without any."""
        oldest = next(iter(self), None)
        if oldest is None:
            return float("inf")
        return oldest.time_s + self._rule.sweeps_after_s(device)


def _moved(array: NDArray, kept: NDArray[np.int64], room: int) -> NDArray:
    """Return an array of `room` entries that begins with those that are kept."""
    found = np.zeros(room, dtype=array.dtype)
    found[: len(kept)] = array[kept]
    return found
