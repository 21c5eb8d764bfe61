"""Contributors at work in a small market."""

import pytest

from agents import registries
from sim.protocols.market.settings import MarketScenario
from sim.world import World

HOUR, DAY = 3_600, 86_400
HABITS = {"wait_s": 3_600.0, "wait_sd_s": 600.0}


def played(contributor, *, devices=(4, 5), balance=2_000, params=None, habits=HABITS, **market):
    """Play a market of four or five honest contributors and others until its data run out."""
    group = {
        "name": "others",
        "devices": list(devices),
        "contributor": contributor,
        "contributor_params": params or {},
        "habits": HABITS,
        "initial_balance": balance * 10**9,
    }
    shape = {"train": 170, "test": 60, "features": 4, "classes": 2, "separation": 2.5}
    values = {
        "name": contributor,
        "protocol": "market",
        "seed": 1,
        "rounds": 3,
        "devices": 6,
        "adversaries": [group],
        "habits": habits,
        "payout": {"initial_balance": 1_000 * 10**9},
        "data": {"dataset": "synthetic", "params": shape, "initial": 20},
        "market": market,
    }
    world = World(MarketScenario.model_validate(values))
    for _ in world.run():
        pass
    return {name: t.to_pandas() for name, t in world.kernel.recorder.tables().items()}


@pytest.mark.parametrize("name", registries.contributors.names())
def test_every_behaviour_plays(name):
    """Money is conserved: the kernel checks it after every posting."""
    tables = played(name)
    end = tables["balances"].query("moment == 'end'")
    assert end["balance"].sum() == (4 * 1_000 + 2 * 2_000) * 10**9, "nothing stays in the pot"


def test_a_market_closes_where_nobody_takes_the_next_sample():
    tables = played("idle", closes_s=DAY / 2)
    submissions = tables["submissions"]
    assert submissions["time_s"].max() < DAY / 2
    assert tables["rounds"]["left"].iloc[-1] > 0
    assert "ran out" in set(tables["balances"]["moment"])


@pytest.mark.parametrize(("gap_s", "refused"), [(4, 1.0), (16, 0.25)])
def test_one_datum_in_four_seconds_prices_the_honest_out(gap_s, refused):
    """In the first four seconds after a datum the price is 60, then 30; honest offers are near 50.

    The griefer, which waits for four seconds, pays 30.
    """
    habits = {"wait_s": 300.0, "wait_sd_s": 100.0, "offer": 50.0, "offer_sd": 3.0}
    tables = played(
        "griefer",
        devices=[5],
        balance=10**6,
        params={"gap_s": gap_s},
        habits=habits,
        closes_s=HOUR,
    )
    honest = tables["submissions"].query("device < 5 and time_s > 600")
    assert len(honest) > 20
    assert honest["datum"].isna().mean() == pytest.approx(refused, abs=0.2)
    paid = tables["submissions"].query("device == 5")["cost"]
    assert paid.median() == 60 // int(gap_s**0.5) * 10**9


def test_a_griefer_stops_when_it_is_broke():
    added = played("griefer", devices=[5], balance=150, closes_s=HOUR)["submissions"]
    mine = added.query("device == 5")
    assert mine["cost"].sum() <= 150 * 10**9
    assert mine["datum"].notna().all(), "it does not offer what it cannot pay"


def test_a_sniper_takes_what_is_left_before_anybody_else():
    claims = played("sniper")["claims"].query("kind == 'sweep'")
    first = claims.iloc[0]
    assert first["device"] in (4, 5)
    assert (claims["device"] >= 4).all()


def test_sybils_report_the_data_of_their_first():
    claims = played("sybil-self-take")["claims"].query("kind == 'report' and author == 4")
    assert 5 in set(claims["device"])
    assert not claims["right"].all()


def test_agreeable_data_are_refunded():
    tables = played("agreeable")
    claims, added = tables["claims"], tables["submissions"].query("device >= 4")
    refunded = claims.query("kind == 'refund' and author >= 4")
    assert len(refunded) > 0.9 * added["datum"].notna().sum()
