"""The data that can still be claimed, and who may claim what of them now.

Every datum is young at first; once it is old enough to be claimed it is seated, and the model's
prediction of it is watched. Each time that the model changes its mind, whoever gains a right by
that is told; a claim looks at what a contributor was told since it claimed last. So the cost of an
act does not grow with the number of data.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence

from mechanisms.markets.base import MarketRule
from mechanisms.vocabulary import Datum
from sim.online.base import OnlineModel
from sim.online.watch import Watch

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


class Claimant:
    """What one contributor was told since it claimed last.

    own     its data that the model agrees with now, or did
    later   what it claimed in vain
    doubts  how many of all data that the model did not agree with it has been told of
    """

    __slots__ = ("doubts", "later", "own")

    def __init__(self) -> None:
        self.own: list[Seat] = []
        self.later: list[Seat] = []
        self.doubts = 0


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
        self._slots: dict[int, Seat] = {}
        self._version = model.version
        self._asked: list[Seat] = []
        self._count = 0
        self._doubted: list[Seat] = []
        self._claimants: defaultdict[int, Claimant] = defaultdict(Claimant)

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

    # --- what the model says --------------------------------------------------------------------

    def update(self, time_s: float) -> None:
        """Seat what is old enough by now, and tell whoever gained a right since the last time."""
        model, young, wait_s = self._model, self._young, self._refund_s
        if self._asked:
            self._watch_what_is_left()
        if self._version != model.version:
            self._version = model.version
            for slot, predicted in self._watch.changed():
                seat = self._slots[slot]
                if (predicted == seat.datum.label) != seat.agrees:
                    self._tell(seat, agrees=not seat.agrees)
        while young:
            age_s = time_s - young[0].time_s
            if age_s < wait_s or (age_s == wait_s and not self._inclusive):
                return
            datum = young.popleft()
            seat = Seat(datum)
            self._seats.append(seat)
            self._asked.append(seat)
            self._tell(seat, agrees=model.predict_one(datum.row) == datum.label)

    def _watch_what_is_left(self) -> None:
        """Watch what was not claimed at once; most data are claimed as soon as they are seated."""
        for seat in self._asked:
            if seat.open:
                seat.slot = self._watch.add(seat.datum.row)
                self._slots[seat.slot] = seat
        self._asked.clear()

    def _tell(self, seat: Seat, *, agrees: bool) -> None:
        """Tell the author that it can have its deposit back, or everybody else to report."""
        seat.agrees = agrees
        if agrees:
            self._claimants[seat.datum.author].own.append(seat)
        else:
            self._doubted.append(seat)

    # --- who may claim what ---------------------------------------------------------------------

    def sweepable(self, device: int, time_s: float, *, own_later: bool) -> Sequence[Seat]:
        """Return what a device may take by now whatever the model says, oldest first.

        `own_later`: its own data only after the wait, not yet when it ends.
        """
        seats, wait_s = self._seats, self._rule.sweeps_after_s(device)
        while seats and not seats[0].open:
            seats.popleft()
        if not seats or time_s - seats[0].datum.time_s < wait_s:
            return ()
        found = []
        for seat in seats:
            age_s = time_s - seat.datum.time_s
            if age_s < wait_s:
                break
            too_soon = own_later and age_s == wait_s and seat.datum.author == device
            if seat.open and not too_soon:
                found.append(seat)
        return found

    def has_doubts(self, device: int) -> bool:
        """Return whether there are data that the model does not agree with and it was not told."""
        return self._claimants[device].doubts < len(self._doubted)

    def due(self, device: int, *, reports: bool) -> list[Seat]:
        """Return what a device can claim under the present model, oldest first.

        Its own data that the model agrees with; with `reports` those of others that it does not
        agree with and that this device has not claimed. What is returned and not claimed is to be
        given back by `keep`.
        """
        claimant = self._claimants[device]
        told, claimant.own = claimant.own, []
        if claimant.later:
            told += claimant.later
            claimant.later = []
        if reports:
            told += self._doubted[claimant.doubts :]
            claimant.doubts = len(self._doubted)
        found = [seat for seat in told if seat.open and self._claims(device, seat)]
        if len(found) < 2:
            return found
        # Who was told twice claims once.
        once = {seat.datum.index: seat for seat in found}
        return [once[index] for index in sorted(once)]

    def _claims(self, device: int, seat: Seat) -> bool:
        """Return whether the model's present prediction gives a device a right."""
        datum = seat.datum
        if datum.author == device:
            return seat.agrees
        return not seat.agrees and device not in datum.claimed_by

    def keep(self, device: int, seats: list[Seat]) -> None:
        """Look at these again when the device claims next."""
        self._claimants[device].later += seats

    def claimed(self, seat: Seat) -> None:
        """Note that a claim was accepted; the datum's record says so already."""
        if self._rule.settled(seat.datum):
            seat.open = False
            self._count -= 1
            if seat.slot != UNWATCHED:
                self._watch.drop(seat.slot)
                del self._slots[seat.slot]

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
