"""Suites of approval rules, and of members of a collective."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from experiments.conformance.common import Conformance
from experiments.conformance.generated import holds_for
from mechanisms import answers
from mechanisms.vocabulary import ApprovalObservation, MemberObservation, MemberVote

votes = st.dictionaries(
    st.integers(0, 9), st.builds(MemberVote, st.booleans(), st.floats(0, 1)), max_size=10
)
pools = st.tuples(st.integers(0, 10**12), st.integers(0, 10**12))
held = st.lists(st.integers(0, 10**12), min_size=10, max_size=10)


class ApprovalConformance(Conformance):
    """No version is paid more than what is left, and more approving members never harm it."""

    @holds_for(given=votes, pool=pools, stakes=held)
    def test_rewards_are_whole_and_at_most_what_is_left(self, given, pool, stakes):
        for rule in self.made():
            seen = self._seen(given, pool, stakes)
            if self._approves(rule, seen):
                answers.reward(rule, "reward", rule.reward(seen), min(pool))

    @holds_for(given=votes, pool=pools, stakes=held)
    def test_members_that_join_the_approving_change_no_approval(self, given, pool, stakes):
        for rule in self.made():
            before = self._approves(rule, self._seen(given, pool, stakes))
            all_of_them = {member: MemberVote(True, 0.5) for member in range(10)}
            after = self._approves(rule, self._seen({**given, **all_of_them}, pool, stakes))
            assert after >= before, "more members that approve make a version fail"

    def test_nothing_is_approved_by_nobody(self):
        for rule in self.made():
            given = {member: MemberVote(False) for member in range(10)}
            assert not self._approves(rule, self._seen(given, (5, 5), [1] * 10))

    def _approves(self, rule: Any, seen: ApprovalObservation) -> bool:
        return answers.truth(rule, "approves", rule.approves(seen))

    def _seen(self, given: Any, pool: tuple[int, int], stakes: list[int]) -> ApprovalObservation:
        seen = ApprovalObservation(
            round=1,
            author=11,
            members=tuple(range(10)),
            votes=given,
            remaining=min(pool),
            initial=max(pool),
            stakes=tuple(stakes),
        )
        return seen.shown_to(self.plugin.observes)


class MemberConformance(Conformance):
    """A vote with a share of the pool, the same for the same stream."""

    @holds_for(accuracy=st.floats(0, 1), master=st.floats(0, 1), author=st.integers(0, 5))
    def test_votes(self, accuracy, master, author):
        for behaviour in self.made():
            votes = [
                answers.member_vote(
                    behaviour, behaviour.vote(self._seen(accuracy, master, author)), ""
                )
                for _ in range(2)
            ]
            assert votes[0] == votes[1], "the same stream must give the same vote"
            assert type(behaviour.tests) is bool, "tests must be True or False"

    def test_who_does_not_test_does_not_look_at_what_was_measured(self):
        for behaviour in self.made():
            if behaviour.tests:
                continue
            for author in range(6):
                first, other = (self._seen(a, m, author) for a, m in ((0.1, 0.9), (0.9, 0.1)))
                assert behaviour.vote(first) == behaviour.vote(other), "it goes by a test"

    def _seen(self, accuracy: float, master: float, author: int) -> MemberObservation:
        return MemberObservation(
            round=1,
            member=0,
            author=author,
            accuracy=accuracy,
            master_accuracy=master,
            rng=np.random.default_rng(author),
            coalition=frozenset({0, 3}),
        )
