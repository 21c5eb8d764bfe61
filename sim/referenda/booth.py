"""The polling booth: what voters see of a proposal, and how their ballots count."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from agents.voters.base import Voter
from mechanisms import answers
from mechanisms.vocabulary import ABSENT, Ballot, Payment, Tally, VoterObservation
from mechanisms.voting.base import VotingRule
from sim.clock import Clock
from sim.money.treasury import Treasury
from sim.recording import Incidents
from sim.referenda.locks import Locks
from sim.referenda.proposals import Proposal
from sim.streams import Streams

if TYPE_CHECKING:  # listing the games of the house must not import Mesa
    from sim.population.population import Population


class Booth:
    """Where ballots are cast, under one voting rule.

    Args:
        rule: what a ballot weighs.
        fee: base units that a ballot costs its voter.
        electorate: returns the devices that may vote now.
        people: whose behaviours as `voter` decide.
        treasury: pays fees and bribes.
        incidents: where refused acts are noted.
        streams: random streams.
        clock: the present round and time.
    """

    def __init__(
        self,
        rule: VotingRule,
        fee: int,
        *,
        electorate: Callable[[], Collection[int]],
        people: Population,
        treasury: Treasury,
        incidents: Incidents,
        streams: Streams,
        clock: Clock,
    ) -> None:
        self.rule, self.fee, self.electorate = rule, fee, electorate
        self.people, self.treasury, self.incidents = people, treasury, incidents
        self.streams, self.clock = streams, clock
        self.locks = Locks(treasury)

    def voter(self, device: int) -> Voter:
        """Return the behaviour of a device as a voter in the present round."""
        behaviour: Voter = self.people[device].behaviour("voter")
        return behaviour

    def seen(self, proposal: Proposal, device: int) -> VoterObservation:
        """Return what a device sees of a proposal."""
        knows = self.voter(device).knows
        seen = VoterObservation(
            device=device,
            round=self.clock.round,
            time_s=self.clock.time_s,
            proposal=proposal.index,
            proposer=proposal.proposer,
            changes=dict(proposal.changes),
            worth=proposal.worth.get(device, 0.0),
            stake=max(0, self.locks.stake_of(device) - self.fee),
            coalition=self.people.coalitions[device],
            rng=self.streams.rng("referendum vote", proposal.index, device),
            tally=self.tally(proposal) if "tally" in knows else ABSENT,
        )
        return seen.shown_to(knows)

    def vote(self, proposal: Proposal, device: int) -> None:
        """Let a device cast its ballot, or abstain."""
        if not self.can_pay(device):
            self.incidents.note(self.clock.time_s, device, None, "cannot pay the fee of a ballot")
            return
        behaviour, seen = self.voter(device), self.seen(proposal, device)
        ballot = self.checked(behaviour, "vote", behaviour.vote(seen), seen)
        if ballot is not None:
            proposal.own[device] = ballot
            self.charge(device, self.fee, "fee.ballot")

    def can_pay(self, device: int) -> bool:
        """Return whether a device can pay the fee of a ballot."""
        return self.treasury.balance(device) >= self.fee

    def checked(
        self, behaviour: Voter, method: str, answer: object, seen: VoterObservation
    ) -> Ballot | None:
        """Return a ballot as the rule counts it; None where it has no weight."""
        given = answers.ballot(behaviour, method, answer, seen.stake, seen.who)
        ballot = self._counted(given)
        if ballot is not None:
            rule = self.rule
            answers.whole(rule, "votes", rule.votes(ballot))
            answers.whole(rule, "support", rule.support(ballot))
            answers.seconds(rule, "lock_s", rule.lock_s(ballot))
        return ballot

    def _counted(self, ballot: Ballot | None) -> Ballot | None:
        """Return a ballot without what the rule does not look at; None where nothing is left."""
        if ballot is None or not self.rule.stakes:
            return ballot and Ballot(ballot.approves)
        conviction = ballot.conviction if self.rule.convictions else 0
        return ballot._replace(conviction=conviction) if ballot.stake else None

    def tally(self, proposal: Proposal, ballots: Sequence[Ballot] | None = None) -> Tally:
        """Return the count of the ballots on a proposal, or of others than those that count."""
        if ballots is None:
            ballots = [ballot for _, ballot, _ in proposal.ballots()]
        stakes = {device: self.locks.stake_of(device) for device in self.electorate()}
        answers.whole(self.rule, "electorate", self.rule.electorate(stakes))
        return self.rule.tally(ballots, stakes)

    def charge(self, device: int, cost: int, reason: str) -> None:
        """Take a fee, which leaves the game: the chain burns it."""
        if cost:
            payment = Payment("burn", cost, reason, device)
            self.treasury.post([payment], time_s=self.clock.time_s)
