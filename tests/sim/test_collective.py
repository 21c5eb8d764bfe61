"""A collective economy: pools, parties, and who decides."""

import pytest

from sim.keys import SettingError
from sim.registries import protocols
from sim.scenario import scenario_of
from sim.world import World


def economy(**changes):
    """Return the scenario of the example with dotted keys changed; `__` stands for a dot."""
    example = scenario_of({"protocol": "collective", **protocols.get("collective").example()})
    return example.replace(**{key.replace("__", "."): value for key, value in changes.items()})


def play(scenario):
    """Return the tables of a played scenario as frames, and its world."""
    world = World(scenario)
    for _ in world.run():
        pass
    world.close()
    tables = {name: table.to_pandas() for name, table in world.kernel.tables().items()}
    return tables, world


def income(tables, device):
    people = tables["participants"]
    return int(people[people["device"] == device]["income"].sum())


class TestPools:
    def test_every_unit_of_the_stake_is_paid_or_comes_back(self):
        tables, world = play(economy(pools__stake=100_003))
        journal = tables["journal"]
        paid = journal[journal["reason"].str.startswith("reward.")]["amount"].sum()
        back = journal[journal["reason"] == "pool.refund"]
        held = back[back["credit"] == f"device:{world.kernel.scenario.creator}"]["amount"].sum()
        assert 0 < paid < 100_003
        assert paid + held == 100_003
        assert world.kernel.treasury.balance(world.kernel.scenario.creator) == held
        assert income(tables, world.kernel.scenario.creator) == held - 100_003

    def test_shares_are_floored_and_contributors_get_the_rest(self):
        scenario = economy(pools__stake=101)
        assert scenario.pools.amounts == {"contributors": 51, "engineers": 30, "annotators": 20}
        tables, _ = play(scenario)
        funded = tables["journal"].query("reason == 'pool.funded' and debit == 'device:7'")
        assert funded["amount"].sum() == 101

    def test_shares_must_sum_to_one(self):
        with pytest.raises(SettingError, match=r"pools.contributors = 0.6: .* must be 1, not 1.1"):
            economy(pools__contributors=0.6)

    def test_the_table_of_pools_follows_the_journal(self):
        scenario = economy(pools__stake=100_000)
        tables, _ = play(scenario)
        pools = tables["pools"]
        for party, amount in scenario.pools.amounts.items():
            of = pools[pools["pool"] == party]
            assert (of["remaining"] + of["spent"].cumsum() == amount).all()

    def test_equal_shares_of_the_pool_are_another_rule(self):
        scenario = economy(payout__mechanism="equal-share", payout__params={"deadline": 2})
        tables, _ = play(scenario)
        journal = tables["journal"]
        rewards = journal[journal["reason"] == "reward.worker"]
        assert set(rewards["amount"]) == {scenario.pools.amounts["contributors"] // len(rewards)}

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"payout__mechanism": "flat"}, "must pay out of a pool"),
            ({"payout__params": {"pool": 5}}, "decided by pools.stake"),
            ({"payout__params": {"contributors": 0.5, "engineers": 0.5}}, "decided by pools."),
            ({"devices": 9}, "the parties and the creator together are 8"),
            ({"record__tape": True}, "compare rules by a sweep"),
        ],
    )
    def test_what_nobody_could_play_is_refused(self, changes, message):
        with pytest.raises(SettingError, match=message):
            economy(**changes)


class TestParties:
    def test_only_contributors_hold_samples_and_train(self):
        tables, _ = play(economy(parties__contributors=5, devices=6))
        people = tables["participants"]
        creator = people[people["party"] == "creator"]
        assert set(creator["device"]) == {5}
        assert not creator["samples"].any()
        assert creator["role"].isna().all()
        assert (tables["rounds"]["workers"] == 5).all()
        assert people[people["party"] == "contributor"]["samples"].min() > 0

    def test_sequential_scores_pay_s_times_what_is_left(self):
        """With one score s the k-th payment of a pool P is s (1 - s)^(k - 1) P, floored."""
        score, pool = 0.1, 100_000
        params = {"score": score, "improve_only": False}
        scenario = economy(payout__params=params, pools__stake=2 * pool, rounds=2)
        tables, _ = play(scenario)
        rewards = tables["journal"].query("reason == 'reward.contributor'")["amount"]
        assert len(rewards) == 14
        for k, amount in enumerate(rewards):
            assert amount == pytest.approx(score * (1 - score) ** k * pool, abs=2)

    def test_groups_are_drawn_among_those_that_can_play_them(self):
        group = {"name": "bad", "count": 7, "worker": "sign-flip"}
        _, world = play(economy(adversaries=[group], rounds=1))
        assert {p.device for p in world.kernel.population if p.adversary} == set(range(7))
        with pytest.raises(SettingError, match=r"adversaries.0.count = 8: at most 7 can be drawn"):
            economy(adversaries=[{**group, "count": 8}])
