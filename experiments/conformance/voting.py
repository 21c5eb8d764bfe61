"""Suites of voting rules, and of voters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from experiments.conformance.common import Conformance
from experiments.conformance.generated import holds_for
from mechanisms import answers
from mechanisms.vocabulary import Ask, Ballot, CaptureObservation, Tally, VoterObservation

DEVICE, STAKE = 3, 10_000
ballots = st.lists(
    st.builds(Ballot, st.booleans(), st.integers(1, STAKE), st.integers(0, 6)), max_size=12
)


class VotingConformance(Conformance):
    """Ballots are counted in any order, votes are whole, and one more vote for never harms."""

    @holds_for(examples=30, cast=ballots, more=st.integers(0, 5 * STAKE))
    def test_the_count(self, cast: Sequence[Ballot], more: int) -> None:
        for rule in self.made():
            stakes = self._stakes(cast, more)
            tally = rule.tally(cast, stakes)
            assert isinstance(tally, Tally), f"counts {tally!r}, must be a Tally"
            assert all(type(votes) is int for votes in tally), "votes are whole numbers"
            assert min(tally) >= 0, "votes are never negative"
            assert tally.support <= tally.electorate, "more support than there is electorate"
            assert rule.tally(cast[::-1], stakes) == tally, "the order of ballots changes the count"
            assert type(rule.passes(tally)) is bool, "passes must be True or False"

    @holds_for(examples=30, cast=ballots, one=st.integers(1, STAKE))
    def test_one_more_vote_for_never_harms(self, cast: Sequence[Ballot], one: int) -> None:
        for rule in self.made():
            stakes = self._stakes([*cast, Ballot(True, one)], 0)
            if rule.passes(rule.tally(cast, stakes)):
                more = rule.tally([*cast, Ballot(True, one, 1)], stakes)
                assert rule.passes(more), "a vote in favour rejects what would pass"

    @holds_for(examples=30, cast=ballots, told=st.booleans())
    def test_needs_are_what_turns_the_outcome(self, cast: Sequence[Ballot], told: bool) -> None:
        """Telling everybody the other side gains what `gains` says, and turns what `needs` says."""
        for rule in self.made():
            stakes = self._stakes(cast, 0)
            tally = rule.tally(cast, stakes)
            passes = rule.passes(tally)
            turned = [ballot._replace(approves=not passes) for ballot in cast]
            gained = [rule.gains(new, old) for new, old in zip(turned, cast, strict=True)]
            totals = [sum(gain[i] for gain in gained) for i in range(2)]
            enough = any(
                all(totals[i] >= need[i] for i in range(2) if need[i] > 0)
                for need in rule.needs(tally)
            )
            assert enough == (rule.passes(rule.tally(turned, stakes)) != passes), (
                "`needs` and `gains` disagree with `passes`"
            )

    @holds_for(ballot=st.builds(Ballot, st.booleans(), st.integers(0, STAKE), st.integers(0, 6)))
    def test_a_ballot(self, ballot: Ballot) -> None:
        for rule in self.made():
            votes = answers.whole(rule, "votes", rule.votes(ballot))
            other = ballot._replace(approves=not ballot.approves)
            assert rule.votes(other) == votes, "weighs a ballot for and against differently"
            answers.whole(rule, "support", rule.support(ballot))
            answers.seconds(rule, "lock_s", rule.lock_s(ballot))
            assert rule.convictions or rule.lock_s(ballot) == 0, "locks without convictions"

    @staticmethod
    def _stakes(cast: Sequence[Ballot], more: int) -> dict[int, int]:
        return {i: ballot.stake for i, ballot in enumerate(cast)} | {len(cast): more}


@st.composite
def scenes(draw: Any) -> VoterObservation:
    """Draw what device 3 sees of a proposal."""
    return VoterObservation(
        device=DEVICE,
        round=2,
        time_s=1e6,
        proposal=0,
        proposer=0,
        changes={"fee": 3.0},
        worth=draw(st.one_of(st.just(0.0), st.floats(-1e6, 1e6))),
        stake=draw(st.integers(0, STAKE)),
        coalition=draw(st.frozensets(st.integers(0, 5))),
        rng=np.random.default_rng(draw(st.integers(0, 99))),
        tally=Tally(3, 2, 3, 9),
    )


@st.composite
def sales(draw: Any) -> CaptureObservation:
    """Draw what device 3 sees of the ballots that others sell."""
    passes = draw(st.booleans())
    stakes = draw(st.lists(st.integers(1, STAKE), max_size=6))
    prices = draw(st.lists(st.integers(0, 500), min_size=len(stakes), max_size=len(stakes)))
    asks = tuple(
        Ask(10 + i, Ballot(not passes, stake, 1), price, (stake, stake))
        for i, (stake, price) in enumerate(zip(stakes, prices, strict=True))
    )
    return CaptureObservation(
        device=DEVICE,
        round=2,
        time_s=1e6,
        proposal=0,
        worth=draw(st.floats(-1e4, 1e4)),
        passes=passes,
        needs=[(draw(st.integers(1, 4 * STAKE)), draw(st.integers(0, STAKE)))],
        asks=asks,
        parts=draw(st.booleans()),
        balance=draw(st.integers(0, 2_000)),
        rng=np.random.default_rng(draw(st.integers(0, 99))),
    )


def _anew(seen: Any) -> Any:
    """Return the same observation with its stream at the start."""
    state = seen.rng.bit_generator.state
    rng = np.random.default_rng()
    rng.bit_generator.state = state
    return dataclasses.replace(seen, rng=rng)


class VoterConformance(Conformance):
    """Ballots are well formed; nobody pays more than it has, or for what is not for sale."""

    @holds_for(examples=30, scene=scenes())
    def test_vote(self, scene: VoterObservation) -> None:
        for voter in self.made():
            seen, again = (_anew(scene).shown_to(voter.knows) for _ in range(2))
            cast = answers.ballot(voter, "vote", voter.vote(seen), scene.stake, seen.who)
            assert cast == voter.vote(again), "the same stream must give the same ballot"

    @holds_for(examples=30, scene=scenes(), approves=st.booleans())
    def test_what_it_sells(self, scene: VoterObservation, approves: bool) -> None:
        for voter in self.made():
            seen = _anew(scene).shown_to(voter.knows)
            told = answers.ballot(voter, "told", voter.told(seen, approves), scene.stake, seen.who)
            assert told is not None, "gives no ballot to who buys it"
            assert told.approves == approves, "does not vote as it is told"
            answers.whole(voter, "price", voter.price(seen, told), who=seen.who)

    @holds_for(examples=30, scene=sales())
    def test_what_it_buys(self, scene: CaptureObservation) -> None:
        for voter in self.made():
            answer = voter.buy(_anew(scene))
            bought = answers.purchases(voter, answer, scene)
            assert voter.buys or not bought, "buys, which `buys = False` denies"
            assert list(voter.buy(_anew(scene))) == list(answer), (
                "the same stream must buy the same"
            )
            asks = {ask.voter: ask for ask in scene.asks}
            paid = sum(asks[p.voter].price * p.stake // asks[p.voter].ballot.stake for p in bought)
            assert paid <= scene.balance, f"buys for {paid}, it has {scene.balance}"
