"""Presence of devices: per round, spells on the clock, scripted outages."""

import math

import numpy as np
import pytest
from scipy import stats

from experiments.loader import ScenarioError
from sim.availability import SPELLS_PER_BLOCK, Availability, Spells
from sim.keys import SettingError
from sim.settings import MOST_SECONDS, AvailabilitySettings
from sim.streams import Streams
from sim.world import World

SPELLS = {"kind": "alternating", "mean_online_s": 30.0, "mean_offline_s": 10.0}
BLOCK_S = SPELLS_PER_BLOCK * 40.0


def presence(devices=5, seed=2, **settings):
    return Availability(AvailabilitySettings(**settings), devices, Streams(seed))


def test_presence_is_a_pure_function():
    asked, other = presence(**SPELLS), presence(**SPELLS)
    times = np.linspace(0, 20_000, 5_001)
    forwards = [asked.online(3, 1, t) for t in times]
    backwards = [other.online(3, 1, t) for t in times[::-1]][::-1]
    assert forwards == backwards
    assert np.mean(forwards) == pytest.approx(0.75, abs=0.05)
    assert asked.online(3, 1, 0.0)


def test_presence_per_round():
    there = presence(kind="per-round", online=0.3, devices=50)
    drawn = [there.online(d, r, 0.0) for d in range(50) for r in range(40)]
    assert np.mean(drawn) == pytest.approx(0.3, abs=0.04)
    assert all(there.online(4, 9, t) == there.online(4, 9, 0.0) for t in (1.0, 1e6))


def test_the_next_change_of_presence():
    there = presence(**SPELLS)
    now = 0.0
    for _ in range(50):
        change = there.next_change_s(now)
        assert change > now
        middle = [there.online(d, 1, (now + change) / 2) for d in range(5)]
        assert middle == [there.online(d, 1, now) for d in range(5)]
        assert middle != [there.online(d, 1, change) for d in range(5)]
        now = change
    assert presence().next_change_s(7.0) == 7.0


# --- spells in blocks ---------------------------------------------------------------------------


def spells_of(online_s, offline_s, until_s):
    """Lengths of all spells of one device, walked from change to change."""
    spells, now, there = Spells(online_s, offline_s, 1, Streams(3)), 0.0, True
    lengths = {True: [], False: []}
    while now < until_s:
        change = spells.next_change_s(0, now)
        assert spells.online(0, now) == there
        lengths[there].append(change - now)
        now, there = change, not there
    return lengths


@pytest.mark.parametrize(("online_s", "offline_s"), [(30.0, 10.0), (5.0, 40.0)])
def test_spells_are_exponential_across_the_blocks_that_they_are_drawn_in(online_s, offline_s):
    lengths = spells_of(online_s, offline_s, 1_500 * (online_s + offline_s))
    for there, mean_s in ((True, online_s), (False, offline_s)):
        assert len(lengths[there]) > 1_000
        assert stats.kstest(lengths[there], "expon", args=(0, mean_s)).pvalue > 0.01


def test_states_at_the_edges_of_blocks_have_the_share_and_no_memory_beyond_a_block():
    spells = Spells(30.0, 10.0, 250, Streams(1))
    for number in (1, 3, 1 << 20):
        online = [spells.online(d, number * BLOCK_S) for d in range(250)]
        assert np.mean(online) == pytest.approx(0.75, abs=0.09)


def test_a_state_between_two_others_follows_from_both():
    """By Bayes' rule against the transition matrix of the chain, multiplied out."""
    spells = Spells(30.0, 10.0, 1, Streams(0))
    spells._length_s = 4.0  # short, so that the states around it matter
    rates = np.array([[-1 / 10, 1 / 10], [1 / 30, -1 / 30]])
    for blocks in (1, 2, 8):
        values, vectors = np.linalg.eig(rates * 4.0 * blocks)
        step = (vectors * np.exp(values)) @ np.linalg.inv(vectors)
        for before in (0, 1):
            assert spells._to_online(bool(before), blocks) == pytest.approx(step[before, 1])
            for after in (0, 1):
                expected = step[before, 1] * step[1, after] / (step @ step)[before, after]
                found = spells._between(bool(before), bool(after), blocks)
                assert found == pytest.approx(expected)


def test_a_question_costs_the_same_after_thirty_years(monkeypatch):
    """Counted in random streams, not in seconds; spells of a minute in 10^9 s are 2 x 10^7."""
    drawn = []
    streams = Streams(4)
    rng = streams.rng
    monkeypatch.setattr(streams, "rng", lambda *key: drawn.append(key) or rng(*key))
    there = Availability(AvailabilitySettings(**SPELLS), 3, streams)
    answers = [there.online(d, 1, MOST_SECONDS) for d in range(3)]
    assert len(drawn) < 3 * 2 * math.log2(MOST_SECONDS / BLOCK_S) + 20
    asked_before = presence(**SPELLS, devices=3, seed=4)
    for t in np.linspace(0, 1e5, 200):
        asked_before.online(1, 1, t)
    assert [asked_before.online(d, 1, MOST_SECONDS) for d in range(3)] == answers


def test_what_is_held_does_not_grow_with_time():
    there = presence(**SPELLS, devices=1)
    for t in np.arange(0, 300 * BLOCK_S, BLOCK_S):
        there.online(0, 1, t)
    assert there._spells._block.cache_info().currsize <= 64
    assert there._spells._starts_online.cache_info().currsize <= 256


# --- limits -------------------------------------------------------------------------------------


def test_a_proof_of_work_that_nobody_can_do_is_refused(tiny):
    """It never ended, at 0.7 to 2.1 GB: all spells up to the simulated time were drawn and kept."""
    with pytest.raises(ScenarioError, match=r"difficulty = 15: at most 13 for 1 rounds"):
        tiny(rounds=1, consensus__kind="pow", consensus__difficulty=15)
    tiny(rounds=1, consensus__kind="pow", consensus__difficulty=13)
    tiny(rounds=1, consensus__difficulty=13, consensus__kind="pow", network__hashes_per_s=1e9)


def test_a_long_proof_of_work_ends_with_devices_that_come_and_go(tiny):
    world = World(
        tiny(
            rounds=2,
            consensus__kind="pow",
            consensus__difficulty=11,
            availability__kind="alternating",
            availability__mean_online_s=10.0,
            availability__mean_offline_s=1.0,
        )
    )
    assert list(world.run()) == [1, 2]
    assert world.kernel.clock.time_s > 1e5


def test_a_run_that_lasts_longer_than_it_may_ends_with_the_round(tiny):
    slow = {"network__latency_s": 3e8, "rounds": 3}
    world = World(tiny("fedavg", **slow))
    with pytest.raises(SettingError, match=r"rounds = 3: at most 1: round 2 ends 1.2e\+09 s"):
        list(world.run())


@pytest.mark.parametrize("deadline", [2e9, math.nan, 0.0, -1.0])
def test_a_deadline_is_within_a_run_or_infinite(tiny, deadline):
    with pytest.raises(ScenarioError, match=r"deadlines.block_s"):
        tiny(deadlines__block_s=deadline)


# --- scripted outages ---------------------------------------------------------------------------


def out(share=0.0, from_s=40.0, until_s=100.0, devices=()):
    return {"from_s": from_s, "until_s": until_s, "share": share, "devices": devices}


def gone(there, devices, time_s):
    return {d for d in range(devices) if not there.online(d, 1, time_s)}


def test_an_outage_hits_its_share_between_its_times():
    there = presence(outages=(out(0.3),), devices=20)
    hit = gone(there, 20, 40.0)
    assert len(hit) == 6
    assert gone(there, 20, 99.9) == hit
    assert gone(there, 20, 39.9) == gone(there, 20, 100.0) == set()
    assert there.outages == [hit]


def test_a_larger_share_holds_a_smaller_one_and_other_outages_change_nothing():
    few, many = (presence(outages=(out(share),), devices=20) for share in (0.2, 0.5))
    both = presence(outages=(out(0.2), out(0.4, 200.0, math.inf)), devices=20)
    assert few.outages[0] < many.outages[0]
    assert both.outages[0] == few.outages[0]
    assert len(gone(both, 20, 1e8)) == 8
    assert presence(outages=(out(0.5),), devices=20, seed=3).outages != many.outages


@pytest.mark.parametrize("kind", ["always", "per-round", "alternating"])
def test_outages_come_on_top_of_every_kind(kind):
    plain = presence(kind=kind, devices=8)
    there = presence(kind=kind, devices=8, outages=(out(devices=(1, 5)),))
    for time_s in (0.0, 39.0, 41.0, 99.0, 101.0):
        held = {1, 5} if 40 <= time_s < 100 else set()
        assert gone(there, 8, time_s) == gone(plain, 8, time_s) | held


def test_when_presence_next_changes_under_an_outage():
    everybody = out(1.0)
    assert presence(outages=(everybody,)).next_change_s(50.0) == 100.0
    assert presence(outages=(everybody,)).next_change_s(0.0) == 0.0
    assert presence(outages=(out(1.0, until_s=math.inf),)).next_change_s(50.0) == 50.0
    assert presence(kind="per-round", outages=(everybody,)).next_change_s(50.0) == 100.0
    some = out(devices=(1,))
    assert presence(kind="per-round", outages=(some,)).next_change_s(50.0) == 50.0
    assert presence(**SPELLS, outages=(everybody,)).next_change_s(50.0) == 100.0
    assert presence(**SPELLS, outages=(out(devices=(1,), from_s=1e-3),)).next_change_s(0.0) == 1e-3


@pytest.mark.parametrize("preset", ["vbfl", "fedavg", "coordinator"])
def test_every_protocol_that_knows_availability_shows_who_was_out(tiny, preset):
    changes = {"coordinator__params": {"size": 2, "error": 0.0}} if preset == "coordinator" else {}
    scenario = tiny(
        preset,
        rounds=4,
        adversaries=[],
        availability__outages=[out(0.5, 0.05, 1e6), out(1.0, 1e7, math.inf)],
        **changes,
    )
    world = World(scenario)
    list(world.run())
    tables = {name: t.to_pandas() for name, t in world.kernel.tables().items()}
    listed = tables["outages"]
    hit = set(listed[listed["outage"] == 0]["device"])
    assert len(hit) == 4
    assert (listed["outage"] == 1).sum() == 8
    people = tables["participants"].merge(tables["rounds"][["round", "start_s"]])
    during = people[(people["start_s"] > 0.05) & (people["start_s"] < 1e6)]
    assert len(during) > 0
    assert (during["online"] == ~during["device"].isin(hit)).all()
    assert people[people["round"] == 1]["online"].all()


def test_without_outages_there_is_no_table_of_them(tiny):
    assert "outages" not in World(tiny(rounds=1)).kernel.tables()


@pytest.mark.parametrize(
    ("outage", "message"),
    [
        (out(0.3, 40.0, 40.0), r"outages.0.until_s = 40.0: must be after from_s = 40"),
        (out(0.3, devices=(1,)), r"outages.0.share = 0.3: give either share or devices"),
        (out(), r"outages.0.share = 0.0: give either share or devices"),
        (out(0.01), r"outages.0.share = 0.01: is nobody of 8 devices; at least 0.0625"),
        (out(devices=(8,)), r"outages.0.devices = 8: devices are numbered 0..7"),
        (out(devices=(2, 2)), r"outages.0.devices = \[2, 2\]: names a device twice"),
        (out(1.5), r"outages.0.share = 1.5"),
        (out(0.5, from_s=-1.0), r"outages.0.from_s = -1.0"),
        ({"share": 0.5}, r"outages.0.from_s"),
        (out(0.5) | {"to_s": 9.0}, r"outages.0.to_s = 9.0: unknown key"),
    ],
)
def test_a_wrong_outage_is_one_line(tiny, outage, message):
    with pytest.raises(ScenarioError, match=r"availability." + message) as raised:
        tiny(availability__outages=[outage])
    assert "\n" not in str(raised.value)
