"""The data that can still be claimed, and who may claim what of them now.

Every datum is young at first; once it is old enough to be claimed it is seated, and the model's
prediction of it is watched. Each time that the model changes its mind, whoever gains a right by
that is told; a claim looks at what a contributor was told since it claimed last. So the cost of an
act does not grow with the number of data.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from mechanisms.markets.base import MarketRule
from mechanisms.vocabulary import Datum
from sim.online.base import OnlineModel
from sim.online.watch import Watch

EMPTY = -1
"""Label of a slot in which nothing is watched."""
UNWATCHED = -1
"""Slot of a datum that is not watched."""


class Seat:
    """A datum that is old enough to be claimed: where it is watched, and what the model says.

    `agrees`: whether the model predicts its label; `open`: whether something is left of it.
    """

    __slots__ = ("agrees", "datum", "open", "slot")

    def __init__(self, datum: Datum) -> None:
        self.datum, self.slot = datum, UNWATCHED
        self.agrees = False
        self.open = True


class OpenData:
    """Accepted data that are not settled, oldest first.

    Args:
        rule: whose waits decide.
        model: what predicts their labels.
    """

    def __init__(self, rule: MarketRule, model: OnlineModel) -> None:
        self._rule, self._model = rule, model
        self._refund_s, self._inclusive = rule.refund_wait_s, rule.inclusive
        self._young: deque[Datum] = deque()
        self._seats: deque[Seat] = deque()
        self._watch = Watch(model)
        self._slots: list[Seat | None] = []
        self._labels = np.full(256, EMPTY)
        self._agrees = np.zeros(256, dtype=bool)
        self._version = model.version
        self._new: list[Seat] = []
        self._asked: list[Seat] = []
        self._count = 0
        self._own: dict[int, list[Seat]] = {}
        self._doubted: list[Seat] = []
        self._told: dict[int, int] = {}
        self._later: dict[int, list[Seat]] = {}

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Datum]:
        """Yield all of them, oldest first."""
        yield from (seat.datum for seat in self._seats if seat.open)
        yield from self._young

    def add(self, datum: Datum) -> None:
        """Add the newest datum."""
        self._young.append(datum)
        self._count += 1

    # --- which are old enough -------------------------------------------------------------------

    def ripen(self, time_s: float) -> None:
        """Seat every datum that is old enough to be claimed by now."""
        young = self._young
        while young and self._ripe(time_s - young[0].time_s):
            self._seat(young.popleft())

    def _ripe(self, age_s: float) -> bool:
        """Return whether a datum of this age can be refunded or reported."""
        if age_s >= self._refund_s:
            return self._inclusive or age_s > self._refund_s
        return False

    def _seat(self, datum: Datum) -> None:
        seat = Seat(datum)
        self._seats.append(seat)
        self._new.append(seat)

    # --- what the model says --------------------------------------------------------------------

    def refresh(self) -> None:
        """Tell whoever gained a right since the last time, because the model changed its mind."""
        model = self._model
        # Most data are claimed as soon as they are seated: only what is left is worth watching.
        for seat in self._asked:
            if seat.open:
                self._watch_from_now(seat)
        self._asked.clear()
        if self._version != model.version:
            self._version = model.version
            self._compare()
        for seat in self._new:
            self._tell(seat, agrees=model.predict_one(seat.datum.row) == seat.datum.label)
        self._asked, self._new = self._new, self._asked

    def _watch_from_now(self, seat: Seat) -> None:
        """Watch a datum whose prediction is known."""
        slot = seat.slot = self._watch.add(seat.datum.row)
        if slot >= len(self._slots):
            self._slots += [None] * (slot + 1 - len(self._slots))
        if slot >= len(self._labels):
            self._labels = np.concatenate([self._labels, np.full(len(self._labels), EMPTY)])
            self._agrees = np.concatenate([self._agrees, np.zeros_like(self._agrees)])
        self._slots[slot] = seat
        self._labels[slot] = seat.datum.label
        self._agrees[slot] = seat.agrees

    def _compare(self) -> None:
        """Tell whoever gained a right by the model's present predictions of what is watched."""
        predicted = self._watch.predictions()
        n = len(predicted)
        agrees = predicted == self._labels[:n]
        changed = (agrees != self._agrees[:n]).nonzero()[0].tolist()
        for slot in changed:
            seat = self._slots[slot]
            if seat is not None:
                self._tell(seat, agrees=not seat.agrees)
        if changed:
            self._agrees[:n] = agrees

    def _tell(self, seat: Seat, *, agrees: bool) -> None:
        """Tell the author that it can have its deposit back, or everybody else to report."""
        seat.agrees = agrees
        if agrees:
            self._own.setdefault(seat.datum.author, []).append(seat)
        else:
            self._doubted.append(seat)

    # --- who may claim what ---------------------------------------------------------------------

    def sweepable(self, device: int, time_s: float, *, own_later: bool) -> list[Seat]:
        """Return what a device may take by now whatever the model says, oldest first.

        `own_later`: its own data only after the wait, not yet when it ends.
        """
        seats, wait_s = self._seats, self._rule.sweeps_after_s(device)
        while seats and not seats[0].open:
            seats.popleft()
        found = []
        for seat in seats:
            age_s = time_s - seat.datum.time_s
            if age_s < wait_s:
                break
            too_soon = own_later and age_s == wait_s and seat.datum.author == device
            if seat.open and not too_soon:
                found.append(seat)
        return found

    def due(self, device: int, *, reports: bool) -> list[Seat]:
        """Return what a device can claim under the present model, oldest first.

        Its own data that the model agrees with; with `reports` those of others that it does not
        agree with and that this device has not claimed. What is returned and not claimed is to be
        given back by `keep`.
        """
        told = self._own.pop(device, [])
        if device in self._later:
            told += self._later.pop(device)
        if reports and self._told.get(device, 0) < len(self._doubted):
            told += self._doubted[self._told.get(device, 0) :]
            self._told[device] = len(self._doubted)
        if not told:
            return told
        found = {}
        for seat in told:
            if seat.open and self._claims(device, seat):
                found[seat.datum.index] = seat
        return [found[index] for index in sorted(found)]

    def _claims(self, device: int, seat: Seat) -> bool:
        """Return whether the model's present prediction gives a device a right."""
        datum = seat.datum
        if datum.author == device:
            return seat.agrees
        return not seat.agrees and device not in datum.claimed_by

    def keep(self, device: int, seats: list[Seat]) -> None:
        """Look at these again when the device claims next."""
        if seats:
            self._later.setdefault(device, []).extend(seats)

    def claimed(self, seat: Seat) -> None:
        """Note that a claim was accepted; the datum's record says so already."""
        if self._rule.settled(seat.datum):
            seat.open = False
            self._count -= 1
            if seat.slot != UNWATCHED:
                self._watch.drop(seat.slot)
                self._slots[seat.slot] = None
                self._labels[seat.slot] = EMPTY

    # --- when -----------------------------------------------------------------------------------

    def next_young_s(self, device: int, *, own: bool) -> float:
        """Return when the first young datum of a device, or of others, can be claimed; inf."""
        for datum in self._young:
            if (datum.author == device) == own:
                return datum.time_s + self._refund_s
        return float("inf")

    def next_sweep_s(self, device: int) -> float:
        """Return when a device can sweep the oldest datum; inf without any."""
        oldest = next(iter(self), None)
        if oldest is None:
            return float("inf")
        return oldest.time_s + self._rule.sweeps_after_s(device)
