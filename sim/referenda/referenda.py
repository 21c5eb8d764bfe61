"""Referenda as a service: propose, vote, buy and sell votes, decide, put in force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mechanisms import registries as rules
from mechanisms.plugin import nearest
from mechanisms.vocabulary import Tally
from mechanisms.voting.base import VotingRule
from sim.clock import Clock
from sim.keys import SettingError
from sim.money.treasury import Treasury
from sim.recording import Incidents
from sim.referenda.booth import Booth
from sim.referenda.locks import ESCROW, Kept
from sim.referenda.proposals import (
    LAPSED,
    PASSED,
    REJECTED,
    VOID,
    Parameter,
    Proposal,
)
from sim.referenda.sale import hold_sale
from sim.referenda.settings import ReferendaSettings
from sim.streams import Streams

if TYPE_CHECKING:  # listing the games of the house must not import Mesa
    from sim.population.population import Population

Check = Callable[[Mapping[str, float]], str]
"""Returns why values cannot be in force together, in words; "" when they can."""


class Referenda:
    """The referenda of a game.

    A protocol calls `advance` when decisions may be due, and `hold` when participants may propose
    and vote; it records `rows` and `benefits` at the end of each round.

    Args:
        settings: rule, venue, delay, and what is proposed when.
        parameters: by name what can be changed.
        electorate: returns the devices that may vote now.
        population: whose behaviours as `voter` decide.
        treasury: pays fees and bribes, and holds locked stakes in `ESCROW`.
        incidents: where refused acts are noted.
        streams: random streams.
        clock: the present round and time.
        check: says whether all parameters can have some values together, such as shares that must
            add up to 1; asked with the changes alone.

    Raises `SettingError` for changes that are scheduled and not possible.
    """

    def __init__(
        self,
        settings: ReferendaSettings,
        *,
        parameters: Mapping[str, Parameter],
        electorate: Callable[[], Collection[int]],
        population: Population,
        treasury: Treasury,
        incidents: Incidents,
        streams: Streams,
        clock: Clock,
        check: Check = lambda changes: "",
    ) -> None:
        self.settings = settings
        self.parameters = parameters
        self.rule: VotingRule = rules.voting.create(settings.rule, settings.params)
        self.booth = Booth(
            self.rule,
            settings.ballot_cost(),
            electorate=electorate,
            people=population,
            treasury=treasury,
            incidents=incidents,
            streams=streams,
            clock=clock,
        )
        self.locks = self.booth.locks
        self.open: list[Proposal] = []
        self._electorate, self._people, self._check = electorate, population, check
        self._treasury, self._incidents = treasury, incidents
        self._streams, self._clock = streams, clock
        self._next = 0
        self._rows: dict[str, list[dict[str, Any]]] = {"referenda": [], "ballots": []}
        self._benefits: Counter[int] = Counter()
        self._require_possible()

    def _require_possible(self) -> None:
        """Raise `SettingError` for what is scheduled and could not be proposed at the start."""
        for i, planned in enumerate(self.settings.proposals):
            problem = self.problem(planned.changes)
            if problem:
                key = f"referenda.proposals.{i}.changes"
                raise SettingError(key, planned.changes, problem)

    # --- proposals ----------------------------------------------------------------------------

    def problem(self, changes: Mapping[str, float]) -> str:
        """Return why changes cannot be proposed, in words; "" when they can."""
        for name, value in changes.items():
            if name not in self.parameters:
                return f"{name}: no such parameter; {nearest(name, list(self.parameters))}"
            reason = self.parameters[name].problem(value)
            if reason:
                return f"{name}: {reason}"
        return self._check(changes)

    def propose(
        self, proposer: int, changes: Mapping[str, float], worth: Mapping[int, float]
    ) -> Proposal | None:
        """Put changes to the vote, at the proposer's cost; None where that is refused.

        Args:
            proposer: device.
            changes: new values by name of the parameter.
            worth: base units by device that it is worth if the proposal passes.
        """
        cost, now_s = self.settings.proposal_cost(), self._clock.time_s
        refusal = self.problem(changes)
        if not refusal and cost > self._treasury.balance(proposer):
            refusal = "cannot pay the cost of a proposal"
        if refusal:
            self._incidents.note(now_s, proposer, None, f"proposal refused: {refusal}")
            return None
        self.booth.charge(proposer, cost, "fee.referendum")
        due_s = now_s + self.settings.lasts_s
        proposal = Proposal(
            index=self._next,
            proposer=proposer,
            changes=dict(changes),
            worth=dict(worth),
            round=self._clock.round,
            opened_s=now_s,
            due_s=due_s,
            cost=cost,
        )
        self._next += 1
        self.open.append(proposal)
        return proposal

    def _propose_scheduled(self) -> None:
        """Put to the vote what the scenario proposes in this round."""
        for number, planned in enumerate(self.settings.proposals):
            if planned.round != self._clock.round:
                continue
            proposer = len(self._people) - 1 if planned.proposer < 0 else planned.proposer
            worth = {}
            for device in range(len(self._people)):
                draw = self._streams.rng("referendum worth", number, device).standard_normal()
                worth[device] = planned.worth + planned.worth_sd * float(draw)
            worth[proposer] += planned.gain
            self.propose(proposer, planned.changes, worth)

    # --- votes --------------------------------------------------------------------------------

    def hold(self, online: Collection[int]) -> None:
        """Propose what is scheduled, and let those that are there vote, sell and buy."""
        self._propose_scheduled()
        for proposal in self.open:
            present = sorted(set(self._electorate()) & set(online))
            cast = proposal.own.keys() | proposal.sellers
            for device in present:
                if device not in cast:
                    self.booth.vote(proposal, device)
            self._settle()
            hold_sale(self.booth, proposal, present)
            self._settle()

    def _settle(self) -> None:
        self.locks.settle([p.locks() for p in self.open if self.rule.stakes], self._clock.time_s)

    # --- decisions ----------------------------------------------------------------------------

    def advance(self, time_s: float) -> None:
        """Decide what is due by now, and put in force what passes, in the order of proposals."""
        due = [proposal for proposal in self.open if proposal.due_s <= time_s]
        for proposal in due:
            tally = self.booth.tally(proposal)
            before = self._before(proposal)
            self._decide(proposal, self._outcome(proposal, tally), tally, before)
        self._settle()

    def _outcome(self, proposal: Proposal, tally: Tally) -> str:
        """Return what becomes of a proposal; what passes may not be possible any more."""
        if not self.rule.passes(tally):
            return REJECTED
        refusal = self.problem(proposal.changes)
        if refusal:
            kind = f"execution refused: {refusal}"
            self._incidents.note(self._clock.time_s, proposal.proposer, None, kind)
            return VOID
        for name, value in proposal.changes.items():
            self.parameters[name].set(int(value) if self.parameters[name].whole else value)
        self._benefits.update(proposal.worth)
        return PASSED

    def _decide(self, proposal: Proposal, status: str, tally: Tally, before: str) -> None:
        """Close a proposal: keep the stakes that won under lock, and record it."""
        self.open.remove(proposal)
        if status != LAPSED:
            won = status != REJECTED
            self.locks.keep(
                Kept(self._clock.time_s + self.rule.lock_s(ballot), voter, ballot.stake)
                for voter, ballot, _ in proposal.ballots()
                if ballot.approves == won and self.rule.lock_s(ballot)
            )
        self._record(proposal, status, tally, before)

    def _record(self, proposal: Proposal, status: str, tally: Tally, before: str) -> None:
        own = self.booth.tally(proposal, list(proposal.own.values()))
        row = {
            "round": self._clock.round,
            "referendum": proposal.index,
            "proposer": proposal.proposer,
            "changes": _written(proposal.changes),
            "before": before,
            "proposed": proposal.round,
            "opened_s": proposal.opened_s,
            "decided_s": self._clock.time_s,
            "status": status,
            **tally._asdict(),
            "cost": proposal.cost,
            "bought": len(proposal.sold),
            "paid": sum(sale.price for sale in proposal.sold),
            "captured": self.rule.passes(own) != self.rule.passes(tally),
            "vote_price": proposal.vote_price,
            "stake_price": proposal.stake_price,
        }
        self._rows["referenda"].append(row)
        for voter, ballot, sale in proposal.ballots():
            cast = {
                "round": self._clock.round,
                "referendum": proposal.index,
                "device": voter,
                **ballot._asdict(),
                "votes": self.rule.votes(ballot),
                "buyer": sale and sale.buyer,
                "price": sale and sale.price,
            }
            self._rows["ballots"].append(cast)

    def _before(self, proposal: Proposal) -> str:
        """Return the present values of what a proposal changes, as text."""
        return _written({name: self.parameters[name].get() for name in proposal.changes})

    def close(self) -> None:
        """End all votes without a decision, and give back every stake."""
        for proposal in list(self.open):
            self._decide(proposal, LAPSED, self.booth.tally(proposal), self._before(proposal))
        self.locks.kept.clear()
        self._settle()

    # --- what a protocol asks for -------------------------------------------------------------

    @staticmethod
    def accounts() -> Mapping[str, int]:
        """Return the accounts that are needed beside those of devices, with what they hold."""
        return {ESCROW: 0}

    def locked(self) -> Mapping[int, int]:
        """Return the base units by device that are locked and come back."""
        return dict(self.locks.held)

    def benefits(self) -> Mapping[int, float]:
        """Return by device what the decisions since the last call were worth, in base units."""
        found = dict(self._benefits)
        self._benefits.clear()
        return found

    def rows(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Return the rows of tables since the last call."""
        found, self._rows = self._rows, {"referenda": [], "ballots": []}
        return found

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary, when `rows` and `benefits` have been taken."""
        return {
            "next": self._next,
            "open": [proposal.to_state() for proposal in self.open],
            "locks": self.locks.to_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self._next = state["next"]
        self.open = [Proposal.from_state(proposal) for proposal in state["open"]]
        self.locks.restore(state["locks"])


def _written(changes: Mapping[str, float]) -> str:
    """Return values by name as text: "licence_fee.eu = 500"."""
    return "; ".join(f"{name} = {value:g}" for name, value in changes.items())
