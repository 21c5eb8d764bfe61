"""A prediction market as it is played: it ends by its rule, and pays what its rule decides."""

import pytest

from experiments.conformance.protocols import digest, play, resumed
from mechanisms.failures import PluginFailedError
from mechanisms.markets.base import BOUNTY, POT
from mechanisms.vocabulary import PROVIDER, TOKEN
from sim.keys import SettingError
from sim.protocols.market.rewards import MISMATCH
from sim.scenario import scenario_of
from sim.world import World

DATA = {"train": 130, "test": 300, "features": 20, "classes": 2, "separation": 2.0}
GOOD, BAD = range(3), range(3, 5)


def world_of(seed=0, market=None, **params):
    """A market of three honest and two bad contributors."""
    return World(
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
                    **(market or {}),
                },
            }
        )
    )


def played(seed=0, market=None, **params):
    """The same after it has ended."""
    world = world_of(seed, market, **params)
    world.step()
    return world


def table(world, name):
    """A recorded table as a frame."""
    return world.kernel.table(name).to_pandas()


def gains(world, devices):
    """What each device gained, in tokens."""
    market, treasury = world.protocol.market, world.kernel.treasury
    return [treasury.held(market.people[d].account) / TOKEN - 10_000 for d in devices]


def test_a_market_ends_with_its_number_of_contributions():
    """Data are left, and nobody can do anything any more."""
    world = played(min_contributions=7)
    market = world.protocol.market
    assert len(market.data) == 7
    assert market.next_row < market.last
    assert market.memory["ended_s"] == market.data[-1].time_s
    submissions = table(world, "submissions")
    assert len(submissions) == 7, "nobody offers anything after the end"


def test_a_market_ends_by_time():
    world = played(min_length_s=5_000.0)
    market = world.protocol.market
    assert market.memory["ended_s"] == 5_000.0
    assert market.data[-1].time_s <= 5_000.0
    assert market.next_row < market.last


def test_a_test_set_with_fewer_samples_than_pieces_is_refused():
    with pytest.raises(SettingError, match=r"^market.params.pieces = 301: must be at most 300"):
        played(pieces=301)


# --- the bounty, and who provides it --------------------------------------------------------------


def moved(world, reason):
    """The entries of the journal with a reason, as (debit, credit, tokens)."""
    found = table(world, "journal").query("reason == @reason")
    whole = found["amount"] / TOKEN
    return list(zip(found["debit"], found["credit"], whole, strict=True))


def test_the_provider_pays_the_bounty_and_gets_back_what_nobody_earns():
    world = played(market={"provider": 0})
    treasury = world.kernel.treasury
    treasury.check()
    assert treasury.held(BOUNTY) == treasury.held(POT) == 0
    paid, back = moved(world, "market.bounty")
    assert paid == ("device:0", BOUNTY, 10_000.0)
    assert back[:2] == (BOUNTY, "device:0")
    assert sum(gains(world, range(5))) == pytest.approx(0.0, abs=1e-6), "nothing comes from outside"
    start = table(world, "balances").query("moment == 'start'")["balance"]
    assert (start == 10_000 * TOKEN).all(), "as they were before the bounty was set aside"


def test_a_provider_that_takes_no_part_has_just_the_bounty():
    world = played()
    treasury = world.kernel.treasury
    paid, back = moved(world, "market.bounty")
    assert paid == (PROVIDER, BOUNTY, 10_000.0)
    assert treasury.held(PROVIDER) / TOKEN == back[2]
    assert sum(gains(world, range(5))) == pytest.approx(10_000 - back[2])
    assert treasury.held(BOUNTY) == treasury.held(POT) == 0


def test_as_shipped_the_bounty_returns_to_nobody():
    world = played(market={"provider": 0}, as_shipped=True, reset_model=False)
    assert len(moved(world, "market.bounty")) == 1
    assert world.kernel.treasury.held(POT) > 0
    assert sum(gains(world, range(5))) < 0


def test_a_provider_that_cannot_pay_is_refused_in_one_line():
    with pytest.raises(SettingError, match=r"^market.provider = 0: must hold the bounty") as told:
        world_of(market={"provider": 0}, bounty=10_001)
    assert "it holds 10,000,000,000,000 (payout.initial_balance" in str(told.value)
    assert "\n" not in str(told.value)


def test_what_is_set_aside_counts_as_the_providers_until_it_is_paid_out():
    """Utility is income and what is locked: setting aside costs nothing while it may return."""
    values = {"params": {"bounty": 100, "min_contributions": 40}, "slice_s": 3_600.0}
    world = World(world_of(market={"provider": 0, **values}).kernel.scenario.replace(rounds=2))
    world.step()
    first = table(world, "participants").query("round == 1").set_index("device")
    stakes = table(world, "submissions").query("device == 0")["cost"].sum()
    assert first.loc[0, "locked"] == 100 * TOKEN + stakes
    assert first.loc[0, "utility"] == pytest.approx(0.0)


# --- collection -----------------------------------------------------------------------------------


def test_everybody_collects_its_balance_at_its_next_act():
    world = played()
    ended_s = world.protocol.market.memory["ended_s"]
    claims = table(world, "claims")
    assert set(claims["kind"]) == {"collect"}
    assert claims["datum"].isna().all()
    assert (claims["device"] == claims["author"]).all()
    assert (claims["time_s"] >= ended_s).all()
    assert claims["time_s"].max() > ended_s
    assert claims["author"].is_unique
    assert int(table(world, "rounds")["collected"].sum()) == len(claims)
    sums = claims.groupby("device")["amount"].sum() / TOKEN
    stakes = table(world, "submissions").groupby("device")["cost"].sum() / TOKEN
    assert gains(world, sums.index) == pytest.approx((sums - stakes[sums.index]).tolist())


WILD = """
from agents.contributors.honest import Honest

class Forgetful(Honest):
    name, summary, reference = "forgetful", "never claims anything", "a test"
    claims = False
"""


def test_after_seven_days_a_sniper_collects_what_its_owner_has_not(tmp_path):
    (tmp_path / "forgetful.py").write_text(WILD)
    groups = [
        {"name": "forgetful", "devices": [0], "contributor": f"{tmp_path}/forgetful.py:Forgetful"},
        {"name": "snipers", "devices": [4], "contributor": "sniper"},
    ]
    scenario = world_of(min_contributions=40).kernel.scenario.replace(adversaries=groups)
    world = World(scenario)
    world.step()
    claims = table(world, "claims")
    taken = claims[claims["author"] == 0]
    ended_s = world.protocol.market.memory["ended_s"]
    assert taken[["device", "time_s"]].to_numpy().tolist() == [[4, ended_s + 7 * 86_400.0]]
    others = claims[claims["author"] != 0]
    assert (others["device"] == others["author"]).all()
    assert world.kernel.treasury.held(POT) == 0


LIAR = """
from agents.contributors.honest import Honest

class Liar(Honest):
    name, summary, reference = "liar", "reveals another test set than it committed to", "a test"

    def test_set(self, seen):
        return list(range(200))

    def revealed(self, seen):
        return list(range(1, 201))
"""


@pytest.fixture
def lied(tmp_path):
    """A market of 40 data in slices of ten minutes whose provider reveals another test set."""
    (tmp_path / "liar.py").write_text(LIAR)
    group = {"name": "liars", "devices": [0], "contributor": f"{tmp_path}/liar.py:Liar"}
    params = {"bounty": 100, "min_contributions": 40}
    values = {"provider": 0, "params": params, "slice_s": 600.0}
    return world_of(market=values).kernel.scenario.replace(adversaries=[group], rounds=20)


def test_a_test_set_that_was_not_committed_to_is_an_incident_and_pays_nobody(lied):
    world = World(lied)
    for _ in world.run():
        pass
    incidents = table(world, "incidents")
    assert incidents["kind"].tolist() == [MISMATCH]
    assert incidents["device"].tolist() == [0]
    assert len(table(world, "submissions")) == 40
    assert gains(world, range(5)) == [0.0] * 5
    assert world.kernel.treasury.held(POT) == world.kernel.treasury.held(BOUNTY) == 0


def test_a_provider_commits_to_the_test_set_that_its_behaviour_chooses():
    """Rewards are measured on the samples of one class, but for the piece that was revealed."""
    group = {"name": "cheats", "devices": [0], "contributor": "cheating-provider"}
    scenario = world_of(market={"provider": 0}).kernel.scenario
    world = World(scenario.replace(adversaries=[group]))
    world.step()
    samples, rows = world.protocol.market.samples, world.protocol.game.rewards._rows
    zeros = samples.test_rows[samples.y[samples.test_rows] == 0]
    assert set(samples.y[rows]) == {0}
    assert 0.85 * len(zeros) < len(rows) < len(zeros)


FEW = LIAR.replace("range(200)", "range(5)").replace("range(1, 201)", "range(5)")


def test_a_provider_with_fewer_samples_than_pieces_is_told_so(tmp_path):
    (tmp_path / "few.py").write_text(FEW)
    group = {"name": "few", "devices": [0], "contributor": f"{tmp_path}/few.py:Liar"}
    scenario = world_of(market={"provider": 0}).kernel.scenario.replace(adversaries=[group])
    said = r"few.py:7 in Liar.test_set.*chooses 5 test samples: pieces = 10 must be at most 5"
    with pytest.raises(PluginFailedError, match=said):
        World(scenario).step()


def test_checkpoints_between_rewards_and_collection_change_nothing(lied):
    expected = play(lied)
    claims = expected["claims"].to_pandas()
    ended = int(expected["incidents"].to_pandas()["round"].iloc[0])
    assert ended < claims["round"].max() <= lied.rounds - 1
    for boundary in range(ended - 1, int(claims["round"].max()) + 1):
        assert digest(resumed(lied, boundary)) == digest(expected), boundary


# --- what the rule does ---------------------------------------------------------------------------


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
