"""A prediction market as it is played: it ends by its rule, and pays what its rule decides."""

import pytest

from mechanisms.markets.prediction_market import BOUNTY
from mechanisms.vocabulary import TOKEN
from sim.keys import SettingError
from sim.scenario import scenario_of
from sim.world import World

DATA = {"train": 130, "test": 300, "features": 20, "classes": 2, "separation": 2.0}
GOOD, BAD = range(3), range(3, 5)


def played(seed=0, **params):
    """The world after a market of three honest and two bad contributors has ended."""
    world = World(
        scenario_of(
            {
                "protocol": "market",
                "rounds": 1,
                "devices": 5,
                "seed": seed,
                "data": {"dataset": "synthetic", "params": DATA, "initial": 10},
                "adversaries": [{"name": "bad", "count": 2, "contributor": "bad"}],
                "market": {
                    "rule": "prediction-market",
                    "params": {"bounty": 10_000, **params},
                    "model": "nearest-centroid",
                },
            }
        )
    )
    world.step()
    return world


def gains(world, devices):
    """What each device gained, in tokens."""
    market, treasury = world.protocol.market, world.kernel.treasury
    return [treasury.held(market.people[d].account) / TOKEN - 10_000 for d in devices]


def test_a_market_ends_with_its_number_of_contributions():
    """Data are left, and nobody can do anything any more."""
    world = played(min_contributions=7)
    market = world.protocol.market
    assert len(market.data) == 7
    assert not market.ran_out
    assert market.memory["ended"]
    assert market.now_s == market.data[-1].time_s


def test_a_market_ends_by_time():
    world = played(min_length_s=5_000.0)
    market = world.protocol.market
    assert market.now_s == 5_000.0
    assert market.data[-1].time_s <= 5_000.0
    assert not market.ran_out


def test_a_test_set_with_fewer_samples_than_pieces_is_refused():
    with pytest.raises(SettingError, match=r"^market.params.pieces = 301: must be at most 300"):
        played(pieces=301)


def test_what_a_market_pays_comes_from_stakes_and_bounty():
    world = played(provider=0)
    kernel = world.kernel
    kernel.treasury.check()
    assert kernel.treasury.held(BOUNTY) == kernel.treasury.held("escrow:market") == 0
    assert sum(gains(world, range(5))) == pytest.approx(10_000)


def test_honest_contributors_lose_stakes_where_they_are_grouped():
    """1.13, point 6: as shipped most of them; repaired, datum by datum, hardly anybody."""
    shipped = [
        gain
        for seed in range(6)
        for gain in gains(
            played(seed, as_shipped=True, group_contributions=True, reset_model=False), GOOD
        )
    ]
    repaired = [gain for seed in range(6) for gain in gains(played(seed), GOOD)]
    assert sum(gain < 0 for gain in shipped) > len(shipped) / 2
    assert sum(gain < 0 for gain in repaired) < len(repaired) / 6
    assert sum(repaired) > sum(shipped)


def test_as_shipped_bad_contributors_end_above_their_start():
    """Who leaves keeps its stake: with the simulator's default options bad data cost nothing."""
    worlds = [played(seed, as_shipped=True, reset_model=False) for seed in range(4)]
    assert min(min(gains(world, BAD)) for world in worlds) >= 0
