"""Approval rules at their thresholds: a share is exceeded by more than it, not by rounding."""

import numpy as np
import pytest

from mechanisms import registries as rules
from mechanisms.vocabulary import UNKNOWN, ApprovalObservation, LabellingObservation, MemberVote


def seen(members, approving, stakes=None):
    votes = {m: MemberVote(m < approving) for m in range(members)}
    return ApprovalObservation(
        round=1,
        author=members,
        members=tuple(range(members)),
        votes=votes,
        remaining=100,
        initial=100,
        stakes=tuple(stakes or [0] * members),
    )


@pytest.mark.parametrize(("above", "members"), [(0.29, 100), (0.58, 50), (0.7, 90), (0.5, 4)])
def test_a_majority_exceeds_its_share(above, members):
    rule = rules.approval.create("majority", {"above": above})
    edge = round(above * members)
    assert not rule.approves(seen(members, edge))
    assert rule.approves(seen(members, edge + 1))


def test_stakes_count_to_the_unit():
    rule = rules.approval.create("stake-majority", {"above": 0.5})
    half = 2**60
    shown = seen(2, 1, [half, half]).shown_to(rule.observes)
    assert not rule.approves(shown)
    assert rule.approves(seen(2, 1, [half + 1, half]).shown_to(rule.observes))


@pytest.mark.parametrize(("least", "right"), [(0.28, 7), (0.56, 14), (1.0, 25), (0.0, 0)])
def test_gold_questions_are_passed_at_exactly_their_share(least, right):

    rule = rules.labelling.create("gold", {"least": least})
    gold = np.zeros(26, dtype=np.int64)
    gold[25] = UNKNOWN
    answers = np.ones((1, 26), dtype=np.int64)
    answers[0, :right] = 0
    asked = LabellingObservation(
        round=1,
        options=2,
        workers=(0,),
        answers=answers,
        points=np.ones(26, dtype=np.int64),
        memory={},
        gold=gold,
    )
    assert rule.judge(asked.shown_to(rule.observes)).scores.all()
    if right:
        answers[0, right - 1] = 1
        assert not rule.judge(asked.shown_to(rule.observes)).scores.any()
