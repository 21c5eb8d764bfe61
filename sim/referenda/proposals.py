"""Proposals, the ballots cast on them, and the parameters that they change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from mechanisms.vocabulary import Ballot

OPEN, PASSED, REJECTED, VOID, LAPSED = "open", "passed", "rejected", "void", "lapsed"


@dataclass(frozen=True)
class Parameter:
    """A number of the game that referenda can change.

    Args:
        get: returns its present value.
        set: puts a new value in force.
        least: smallest value that can be proposed.
        most: largest value that can be proposed.
        whole: whether it is a whole number, such as an amount, or 0 and 1 for no and yes.
    """

    get: Callable[[], float]
    set: Callable[[float], None]
    least: float
    most: float
    whole: bool = False

    def problem(self, value: float) -> str:
        """Return why a value cannot be proposed, in words; "" when it can."""
        if not self.least <= value <= self.most:
            return f"must be from {self.least:g} to {self.most:g}"
        if self.whole and value != int(value):
            return "must be a whole number"
        return ""


class Sale(NamedTuple):
    """A ballot that was cast as its buyer told, for `price` base units."""

    voter: int
    buyer: int
    ballot: Ballot
    price: int


@dataclass
class Proposal:
    """A proposal that was put to the vote.

    index      its number, 0, 1, ...
    proposer   device
    changes    new values by name of the parameter
    worth      base units by device that it is worth if it passes
    round      in which it was proposed
    opened_s   when
    due_s      when it is decided, and in force if it passes
    cost       base units that it cost the proposer
    own        ballots of voters by preference, by device
    sold       ballots that were bought
    vote_price, stake_price  price of capture when it was opened: of whole ballots, of leased stake;
               None where no price is enough, or nothing is locked
    """

    index: int
    proposer: int
    changes: dict[str, float]
    worth: dict[int, float]
    round: int
    opened_s: float
    due_s: float
    cost: int
    own: dict[int, Ballot] = field(default_factory=dict)
    sold: list[Sale] = field(default_factory=list)
    vote_price: int | None = None
    stake_price: int | None = None

    @property
    def sellers(self) -> set[int]:
        """Devices that have sold their ballot, or a part of it."""
        return {sale.voter for sale in self.sold}

    def ballots(self) -> list[tuple[int, Ballot, Sale | None]]:
        """Return the ballots that count by device, and for those that were bought how."""
        gone: dict[int, int] = {sale.voter: sale.ballot.stake for sale in self.sold}
        kept = []
        for voter, ballot in self.own.items():
            left = ballot.stake - gone.get(voter, 0)
            if voter not in gone or left > 0:
                kept.append((voter, ballot._replace(stake=left), None))
        sold = [(sale.voter, sale.ballot, sale) for sale in self.sold]
        return sorted([*kept, *sold], key=lambda cast: (cast[0], cast[2] is not None))

    def locks(self) -> dict[int, int]:
        """Return the base units by device that stand behind the ballots that count."""
        held: dict[int, int] = {}
        for voter, ballot, _ in self.ballots():
            held[voter] = held.get(voter, 0) + ballot.stake
        return held

    def to_state(self) -> dict[str, Any]:
        """Return JSON values."""
        state = asdict(self)
        state["worth"] = {str(d): worth for d, worth in self.worth.items()}
        state["own"] = {str(d): list(ballot) for d, ballot in self.own.items()}
        state["sold"] = [[s.voter, s.buyer, list(s.ballot), s.price] for s in self.sold]
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Proposal:
        """Return the proposal of `to_state`."""
        proposal = cls(**state)
        proposal.worth = {int(d): worth for d, worth in state["worth"].items()}
        proposal.own = {int(d): Ballot(*ballot) for d, ballot in state["own"].items()}
        proposal.sold = [Sale(v, b, Ballot(*cast), price) for v, b, cast, price in state["sold"]]
        return proposal
