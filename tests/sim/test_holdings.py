"""Unequal initial balances, and digits with wrong labels."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.loader import ScenarioError, load_scenario
from sim.data import datasets
from sim.streams import Streams
from sim.training.samples import initial_balances
from sim.world import World


@given(st.integers(0, 10**15), st.integers(1, 60), st.integers(0, 2**40))
def test_zipf_deals_the_same_total_by_rank(each, devices, seed):
    held = initial_balances(each, "zipf", devices, Streams(seed))
    assert sorted(held) == list(range(devices))
    assert sum(held.values()) == each * devices
    ranked = sorted(held.values(), reverse=True)
    harmonic = sum(1 / r for r in range(1, devices + 1))
    for rank, amount in enumerate(ranked, 1):
        assert amount == pytest.approx(each * devices / (rank * harmonic), abs=devices, rel=1e-12)
    assert initial_balances(each, "equal", devices, Streams(seed)) == dict.fromkeys(
        range(devices), each
    )


def test_who_holds_much_is_drawn_by_the_seed():
    first, second = (initial_balances(1_000, "zipf", 10, Streams(seed)) for seed in (1, 2))
    assert first == initial_balances(1_000, "zipf", 10, Streams(1))
    assert sorted(first.values()) == sorted(second.values())
    assert first != second


def balances(**changes):
    keys = {"rounds": 1, "payout.initial_balance": 60_000, "adversaries": []} | changes
    keys |= {"roles.params.counts": "10,5,3"}
    world = World(load_scenario("digits-quick", keys))
    held = world.protocol.game.bench.balances
    members = [d for d, m in enumerate(world.kernel.population.groups) if m.group != "honest"]
    world.close()
    return held, members


def test_sybils_share_what_their_operator_would_have_held():
    alone, _ = balances(**{"payout.holdings": "zipf"})
    group = {"name": "sybils", "count": 3, "identities": "split"}
    held, members = balances(**{"payout.holdings": "zipf", "adversaries": [group]})
    assert [held[d] for d in members] == [alone[members[0]] // 3] * 3
    others = alone.keys() - set(members)
    assert {d: held[d] for d in others} == {d: alone[d] for d in others}
    spared = {"name": "sybils", "count": 3, "spares": 2}
    held, members = balances(**{"payout.holdings": "zipf", "adversaries": [spared]})
    assert [held[d] for d in members] == [alone[members[0]] // 3] * 3


def test_without_a_balance_there_is_nothing_to_deal():
    with pytest.raises(ScenarioError, match=r"payout.holdings = 'zipf': acts only where"):
        load_scenario("fedavg", {"payout.initial_balance": 0, "payout.holdings": "zipf"})


@pytest.mark.parametrize("wrong", [0.0, 0.3, 1.0])
def test_a_share_of_the_training_labels_is_wrong_and_no_test_label(wrong):
    clean = datasets.create("digits").load(Path())
    noisy = datasets.create("digits-noisy", {"wrong": wrong}).load(Path())
    assert np.array_equal(clean.x_train, noisy.x_train)
    assert np.array_equal(clean.y_test, noisy.y_test)
    differs = clean.y_train != noisy.y_train
    assert differs.sum() == round(wrong * len(differs))
    if wrong == 1.0:
        steps = (noisy.y_train - clean.y_train) % 10
        counts = np.bincount(steps, minlength=10)[1:]
        assert counts.min() > 0.7 * len(steps) / 9
