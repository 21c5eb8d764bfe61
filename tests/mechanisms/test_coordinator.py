"""The coordinator's contract, its verifiers and its stakes, in closed form."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms import registries as rules
from mechanisms.lifecycle import Phase, RoundContract, TransitionError, commitment
from mechanisms.vocabulary import (
    BlockObservation,
    Conduct,
    OpeningObservation,
    VerificationObservation,
)
from tests.mechanisms.test_payouts import income, record

SALT = b"s" * 16


def started(*devices, aggregator=9, submission_s=10.0):
    contract = RoundContract(aggregator)
    for d in devices:
        contract = contract.register(d)
    return contract.start(aggregator, 0.0, submission_s)


def test_a_round_goes_through_its_phases_in_order():
    contract = started(1, 2)
    assert contract.phase is Phase.TRAINING
    for d in (1, 2):
        contract = contract.commit(d, commitment(d, b"u%d" % d, SALT), 4.0)
    contract = contract.close_submissions(4.0, 5.0)
    assert contract.phase is Phase.AGGREGATION
    contract = contract.reveal(1, b"u1", SALT, 8.9)
    contract = contract.finalise(9, [1])
    assert (contract.phase, contract.verified, contract.unrevealed) == (Phase.COMPLETED, (1,), {2})


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: RoundContract(9).commit(1, b"", 0.0), "phase"),
        (lambda: RoundContract(9).register(1).register(1), "duplicate"),
        (lambda: RoundContract(9).start(3, 0.0, 10.0), "permission"),
        (lambda: RoundContract(9).start(9, 0.0, 0.0), "deadline"),
        (lambda: started(1).register(2), "phase"),
        (lambda: started(1).commit(2, b"", 0.0), "unregistered"),
        (lambda: started(1).commit(1, b"", 10.1), "late"),
        (lambda: started(1, 2).commit(1, b"", 1.0).commit(1, b"x", 1.0), "duplicate"),
        (lambda: started(1, 2).commit(1, b"", 1.0).close_submissions(2.0, 5.0), "early"),
        (lambda: started(1).close_submissions(10.0, -1.0), "deadline"),
        (lambda: started(1).finalise(9, []), "phase"),
        (
            lambda: (
                started(1, 2)
                .commit(1, b"", 1.0)
                .close_submissions(10.0, 5.0)
                .reveal(2, b"", SALT, 11.0)
            ),
            "uncommitted",
        ),
        (
            lambda: (
                started(1).commit(1, b"", 1.0).close_submissions(1.0, 5.0).reveal(1, b"", SALT, 2.0)
            ),
            "mismatched",
        ),
        (
            lambda: (
                started(1).commit(1, b"", 1.0).close_submissions(1.0, 5.0).reveal(1, b"", SALT, 6.1)
            ),
            "unrevealed",
        ),
        (
            lambda: started(1).commit(1, b"", 1.0).close_submissions(1.0, 5.0).finalise(9, [1]),
            "unrevealed",
        ),
        (
            lambda: started(1).commit(1, b"", 1.0).close_submissions(1.0, 5.0).finalise(1, []),
            "permission",
        ),
    ],
)
def test_guards(call, kind):
    with pytest.raises(TransitionError) as refused:
        call()
    assert refused.value.kind == kind


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 99), st.integers(0, 99))
def test_a_commitment_binds_its_sender_and_its_update(one, other, a, b):
    same = (one, a) == (other, b)
    assert (commitment(a, one, SALT) == commitment(b, other, SALT)) == same


def test_a_copied_commitment_cannot_be_revealed():
    contract = started(1, 2)
    secret = commitment(1, b"update", SALT)
    contract = (
        contract.commit(1, secret, 1.0)
        .commit(2, secret, 2.0)
        .close_submissions(2.0, 5.0)
        .reveal(1, b"update", SALT, 3.0)
    )
    with pytest.raises(TransitionError, match="something else"):
        contract.reveal(2, b"update", SALT, 4.0)


# --- verifiers ------------------------------------------------------------------------------------


def misjudged(name, params, genuine, n=20_000):
    """Share of n updates, all genuine or none, that the majority judges wrongly."""
    verifier = rules.verifiers.create(name, params)
    seen = VerificationObservation(
        round=1, workers=tuple(range(n)), genuine=np.full(n, genuine), rng=np.random.default_rng(7)
    )
    accepted = verifier.verdicts(seen).mean(axis=0) >= 0.5
    return float((accepted != genuine).mean())


@pytest.mark.parametrize("genuine", [True, False])
def test_verifiers_err_as_often_as_they_say(genuine):
    n, e = 5, 0.2
    tail = sum(math.comb(n, k) * e**k * (1 - e) ** (n - k) for k in range(3, n + 1))
    assert misjudged("committee", {"size": n, "error": e}, genuine) == pytest.approx(
        tail, abs=0.006
    )
    assert misjudged("re-execution", {"probability": 0.3}, genuine) == pytest.approx(
        0.0 if genuine else 0.7, abs=0.01
    )
    assert misjudged("enclave", {"breach": 0.1}, genuine) == pytest.approx(
        0.0 if genuine else 0.1, abs=0.01
    )
    assert misjudged("proof", {}, genuine) == misjudged("oracle", {}, genuine) == 0


# --- stakes ---------------------------------------------------------------------------------------

PARAMS = {
    "stake": 1_000,
    "bond": 500,
    "pot": 90,
    "fee": 10,
    "slash": 0.5,
    "forfeit": 1.0,
    "challenge_deposit": 100,
}


def opened(balances=(1_500, 1_500, 1_500, 1_499, 999), **params):
    rule = rules.payouts.create("coordinator", {**PARAMS, **params})
    return rule, rule.open(
        OpeningObservation(devices=tuple(range(len(balances))), balances=tuple(balances))
    ).memory


def settled(rule, memory, records, miner=2, **conduct):
    seen = BlockObservation(
        round=1,
        miner=miner,
        records=tuple(records),
        memory=memory,
        conduct=Conduct(aggregator=2, **conduct),
    )
    result = rule.settle(seen)
    return income(result), result.memory


def test_joining_and_being_an_aggregator_need_deposits():
    rule, memory = opened()
    assert rule.members(memory) == {0, 1, 2, 3}
    assert rule.aggregators(memory) == {0, 1, 2}
    assert rule.locked(memory) == {0: 1_500, 1: 1_500, 2: 1_500, 3: 1_000}
    assert income(rule.close(memory)) == {0: 1_500, 1: 1_500, 2: 1_500, 3: 1_000}


def test_the_included_share_the_pot_the_others_are_slashed_or_forfeit():
    rule, memory = opened(destination="treasury")
    paid, memory = settled(
        rule, memory, [record(0), record(1, accepted=False)], unrevealed=frozenset({3})
    )
    assert paid == {0: 90, 2: 10, "treasury": 500 + 1_000}
    assert rule.members(memory) == {0, 1, 2}, "3 has nothing left to lose"


def test_a_wrong_aggregate_costs_the_bond_and_feeds_the_challenger():
    rule, memory = opened(challenger_share=0.4)
    paid, memory = settled(rule, memory, [record(0)], miner=None, fault="wrong", challenger=1)
    assert paid == {0: 90, 1: 200, "burn": 300}
    assert rule.aggregators(memory) == {0, 1}


def test_an_absent_aggregator_loses_a_part():
    rule, memory = opened(absence=0.25)
    assert settled(rule, memory, [], miner=None, fault="absent")[0] == {"burn": 125}


def test_a_false_challenge_is_paid_for():
    rule, memory = opened()
    paid, memory = settled(rule, memory, [], false_challengers=frozenset({0, 1}))
    assert paid == {2: 200}
    assert rule.locked(memory)[0] == 1_400
