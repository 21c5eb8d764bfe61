"""A market rule decides what adding a datum costs, and who may claim what of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import (
    Claim,
    Datum,
    MarketMemory,
    Offering,
    Payment,
    Refused,
    Stage,
    Withdrawal,
)

POT = "escrow:market"
"""The account that holds every deposit, and the balances that are to be collected."""
BOUNTY = "escrow:market-bounty"
"""The account that holds what the provider of the test set has set aside."""

TOO_YOUNG = Refused("the datum is too young")
DISAGREES = Refused("the model does not predict the label")
AGREES = Refused("the model predicts the label")
OWN = Refused("reports its own datum")


class MarketRule(Plugin, ABC):
    """Base of market rules.

    A rule has no state of its own: `memory` holds all that it remembers, as plain JSON values, and
    its methods change it in place; a refusal changes nothing. Deposits go from their author to
    `POT`, claims are paid from there: the market moves the money and keeps the public records.
    """

    learns: bool = True
    """Whether the model learns an accepted datum at once."""
    claimable: bool = True
    """Whether data can be claimed one by one, by `refund` and `report`."""

    @property
    def refund_wait_s(self) -> float:
        """Seconds after which the author may claim its deposit back, and others may report."""
        return math.inf

    @property
    def sweep_wait_s(self) -> float:
        """Seconds after which anybody may take what is left of a deposit."""
        return math.inf

    @property
    def inclusive(self) -> bool:
        """Whether a refund or report is in time at the age of `refund_wait_s`, or only beyond it.

        A sweep is always in time at the age of its wait.
        """
        return False

    def sweeps_after_s(self, device: int) -> float:
        """Return the seconds after which this device may take what is left of any deposit."""
        return self.sweep_wait_s

    def accounts(self) -> Mapping[str, int]:
        """Return the accounts needed beside those of devices, with their initial base units."""
        return {POT: 0}

    def bounty(self) -> int:
        """Return the base units that the provider of the test set pays to `BOUNTY` at the start."""
        return 0

    def start(self, time_s: float) -> MarketMemory:
        """Return the memory before the first datum."""
        return {}

    def price(self, memory: MarketMemory, time_s: float, device: int) -> int:
        """Return the base units that a datum of this device costs now, if it is accepted."""
        return 0

    @abstractmethod
    def add(self, memory: MarketMemory, seen: Offering) -> int | Refused:
        """Return the base units that an offered datum costs, at most `seen.offer`."""

    def refund(self, memory: MarketMemory, seen: Claim) -> int | Refused:
        """Return what the author is paid of its datum, at most what is claimable."""
        return Refused("this rule gives nothing back")

    def report(self, memory: MarketMemory, seen: Claim) -> int | Refused:
        """Return what a reporter is paid of a datum, at most what is claimable."""
        return Refused("this rule takes no reports")

    def settled(self, datum: Datum) -> bool:
        """Return whether nothing of a datum can be claimed any more."""
        return datum.claimable <= 0

    def may_report(self, memory: MarketMemory, device: int) -> bool:
        """Return whether a report of this device could be accepted before the sweep."""
        return True

    def standing(self, memory: MarketMemory) -> Mapping[int, int]:
        """Return by device what the rule counts of it: data found good, points, reputation."""
        return {}

    def scores(self, memory: MarketMemory) -> Mapping[int, float]:
        """Return by device its share of the standing of all, in per cent."""
        standing = self.standing(memory)
        whole = sum(standing.values())
        return {device: 100 * part / whole for device, part in standing.items() if whole}

    def badges(self, memory: MarketMemory) -> Mapping[int, str]:
        """Return by device the badge that it has earned; who has none is not there."""
        return {}

    # --- rules with stages --------------------------------------------------------------------

    def test_pieces(self, samples: int) -> Sequence[tuple[int, int]]:
        """Return the pieces (start, stop) of a test set to whose bytes its provider commits.

        One of them, drawn at random, is revealed before the first datum; accuracies of rules are
        measured on the others. Nothing: there is no commitment. Raises `PluginError` for pieces
        without samples.
        """
        return ()

    def closed(self, memory: MarketMemory) -> bool:
        """Return whether no datum is accepted any more: the market ends then."""
        return False

    def deadline_s(self, memory: MarketMemory) -> float:
        """Return when `advance` is to be called next; inf: when no more data are offered."""
        return math.inf

    def advance(self, memory: MarketMemory, seen: Stage) -> Sequence[Payment]:
        """Go on to the next stage, and return what is paid: of `POT`, `BOUNTY` or own accounts."""
        return ()

    def balances(self, memory: MarketMemory) -> Mapping[int, int]:
        """Return by device the base units in `POT` that are kept for it, to be collected."""
        return {}

    def open_to_all_s(self, memory: MarketMemory) -> float:
        """Return when anybody may collect what its owner has not collected."""
        return math.inf

    def collect(self, memory: MarketMemory, seen: Withdrawal) -> int | Refused:
        """Return what a device is paid of the balance of `seen.owner`, at most all of it."""
        return Refused("this rule keeps no balances")

    def locked(self, memory: MarketMemory, data: Sequence[Datum]) -> Mapping[int, int]:
        """Return the base units by device that the rule holds and may give back.

        `data` are the records that are still open, or all where data are not claimed one by one.
        """
        held: dict[int, int] = {}
        for datum in data:
            held[datum.author] = held.get(datum.author, 0) + datum.claimable
        return held
