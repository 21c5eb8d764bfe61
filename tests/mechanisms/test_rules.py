"""Closed forms of the shipped rules."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms import answers
from mechanisms.aggregators.mean import Mean
from mechanisms.consensus import Candidate, mining_time_s, rank_by_stake
from mechanisms.failures import PluginFailedError
from mechanisms.payouts.vbfl import Vbfl
from mechanisms.plugin import Plugin, PluginError
from mechanisms.registries import payouts
from mechanisms.roles.counts import Counts
from mechanisms.validators.threshold import Threshold
from mechanisms.vocabulary import (
    AggregationObservation,
    BlockObservation,
    Submission,
    UpdateRecord,
    ValidationObservation,
)


def income(payments, device):
    return sum(p.amount for p in payments if p.payee == device)


def test_vbfl_pays_the_published_amounts():
    """12 workers, 5 validators, 400 samples, 5 epochs: 2,000 each, 12 each, 60 + 1 to the miner."""
    validators = tuple(range(12, 17))
    records = tuple(
        UpdateRecord.from_votes(
            worker=w, claimed_samples=400, claimed_epochs=5, positive=validators, negative=()
        )
        for w in range(12)
    )
    paid = Vbfl().settle(BlockObservation(round=1, miner=17, records=records)).payments
    assert {income(paid, w) for w in range(12)} == {2_000}
    assert {income(paid, v) for v in validators} == {12}
    assert income(paid, 17) == 61


def test_vbfl_pays_nothing_for_a_rejected_update_but_pays_the_votes_on_it():
    records = (
        UpdateRecord.from_votes(
            worker=0, claimed_samples=400, claimed_epochs=5, positive=(2,), negative=(1, 3)
        ),
        UpdateRecord.from_votes(
            worker=4, claimed_samples=400, claimed_epochs=5, positive=(1,), negative=(2,)
        ),
    )
    paid = Vbfl().settle(BlockObservation(round=1, miner=9, records=records)).payments
    assert income(paid, 0) == 0
    assert income(paid, 4) == 2_000, "a tie accepts"
    assert [income(paid, v) for v in (1, 2, 3)] == [2, 2, 1]
    assert income(paid, 9) == 5 + 1


@given(st.floats(0, 1), st.lists(st.integers(0, 500), max_size=12), st.integers(0, 500))
def test_threshold_rejects_exactly_above(threshold, correct, baseline):
    rule = Threshold.configure({"threshold": threshold})
    accuracies = np.array(correct, dtype=float) / 500
    seen = ValidationObservation(
        round=1,
        validator=0,
        workers=tuple(range(len(correct))),
        baseline_accuracy=baseline / 500,
        update_accuracies=accuracies,
    )
    deficit = (baseline - np.array(correct, dtype=int)) / 500
    expected = deficit <= threshold
    unclear = np.isclose(deficit, threshold, atol=1e-11)
    assert ((rule.verdicts(seen) == expected) | unclear).all()


def test_threshold_is_not_fooled_by_rounding():
    rule = Threshold.configure({"threshold": 0.08})
    seen = ValidationObservation(
        round=1,
        validator=0,
        workers=(0,),
        baseline_accuracy=0.68,
        update_accuracies=np.array([0.60]),
    )
    assert rule.verdicts(seen).all()
    assert 0.68 - 0.60 > 0.08, "the very case that plain comparison gets wrong"


def test_threshold_one_never_rejects():
    rule = Threshold.configure({"threshold": 1.0})
    assert rule.verdicts(
        ValidationObservation(
            round=1,
            validator=0,
            workers=(0,),
            baseline_accuracy=1.0,
            update_accuracies=np.array([0.0]),
        )
    ).all()


def test_mean_plain_and_weighted():
    updates = np.array([[1, 2], [3, 6]], dtype=np.float32)
    seen = AggregationObservation(
        round=1,
        workers=(0, 1),
        updates=updates,
        samples=np.array([1, 3]),
        global_model=np.zeros(2, np.float32),
    )
    np.testing.assert_allclose(Mean().aggregate(seen), [2, 4])
    np.testing.assert_allclose(Mean.configure({"weighted": True}).aggregate(seen), [2.5, 5])


@pytest.mark.parametrize("counts", ["12,5", "a,b,c", "0,5,3", "-1,2,3", "", "1,2,3,4"])
def test_counts_refuses(counts):
    with pytest.raises(PluginError, match="three fields"):
        Counts.configure({"counts": counts})


def test_counts_draws_every_spare_role():
    from mechanisms.vocabulary import RoleObservation

    seen = RoleObservation(
        round=1,
        eligible=tuple(range(300)),
        stakes=(0,) * 300,
        previous_hash=b"",
        rng=np.random.default_rng(0),
    )
    drawn = list(Counts().assign(seen).values())
    assert all(70 < drawn.count(role) < 130 for role in set(drawn))


def candidate(stake, arrival, key):
    return Candidate(stake, arrival, key)


def test_highest_stake_wins_and_ties_are_decided_by_hash():
    entries = [candidate(5, 1.0, b"a"), candidate(9, 3.0, b"b"), candidate(9, 2.0, b"c")]
    order = rank_by_stake(entries, b"prev", "hash")
    assert set(order[:2]) == {1, 2}
    assert order[2] == 0
    reverse = rank_by_stake(entries[::-1], b"prev", "hash")
    assert [entries[::-1][i] for i in reverse] == [entries[i] for i in order], (
        "whatever the order of arrival"
    )
    winners = {rank_by_stake(entries, bytes([i]), "hash")[0] for i in range(64)}
    assert winners == {1, 2}, "the previous hash decides, not the key"


def test_published_tie_rule_keeps_the_latest_arrival_only():
    entries = [candidate(0, 1.0, b"own"), candidate(0, 3.0, b"late"), candidate(0, 2.0, b"mid")]
    assert rank_by_stake(entries, b"", "latest-arrival") == [1]


def test_mining_time_has_the_stated_mean():
    rng = np.random.default_rng(0)
    draws = [mining_time_s(2, 64.0, rng) for _ in range(20_000)]
    assert np.mean(draws) == pytest.approx(16**2 / 64, rel=0.03)
    assert np.std(draws) == pytest.approx(16**2 / 64, rel=0.05)


class TestParameters:
    """One-line errors about plug-in parameters."""

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"thresholt": 0.1}, "did you mean 'threshold'"),
            ({"threshold": -0.1}, ">= 0"),
            ({"threshold": 1.5}, "<= 1"),
            ({"threshold": "a"}, "type float"),
            ({"threshold": True}, "type float"),
            ({"threshold": float("nan")}, "finite"),
            ({"baseline_epochs": 1.5}, "type int"),
        ],
    )
    def test_refused(self, values, message):
        with pytest.raises(PluginError, match=message) as caught:
            Threshold.configure(values)
        assert caught.value.key == next(iter(values))

    def test_unknown_name_suggests(self):
        with pytest.raises(PluginError, match="did you mean 'vbfl'"):
            payouts.get("vbfI")


def test_rows_of_any_floats_are_sent_as_float32():
    """As docs/how-to/write-an-attack.md says: too large is infinity, integers are a mistake."""
    seen = SimpleNamespace(who="", devices=(3,), updates=np.ones((1, 2), np.float32))
    claims = np.ones(1, np.int64)
    rows = np.array([[2.0, 1e300]])
    sent = answers.submission(Plugin(), Submission(rows, claims, claims, revealed=rows), seen)
    for found in (sent.updates, sent.revealed):
        assert found.dtype == np.float32
        assert found.tolist() == [[2.0, math.inf]]
    for wrong in (np.ones((1, 2), int), np.ones((1, 3)), np.ones(2)):
        with pytest.raises(PluginFailedError, match="updates must be float"):
            answers.submission(Plugin(), Submission(wrong, claims, claims), seen)
    with pytest.raises(PluginFailedError, match="claimed_samples must be int"):
        answers.submission(Plugin(), Submission(rows, np.ones(1), claims), seen)
