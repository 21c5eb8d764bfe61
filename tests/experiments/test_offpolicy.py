"""The tape of a run, and other rules on it."""

import numpy as np
import pandas as pd
import pytest

from experiments import by_mechanism, checkpoint, compare_payouts, open_run, run
from experiments.rundir import RunError
from mechanisms import registries as rules
from sim.keys import SettingError
from sim.world import World
from tests.mechanisms.test_payouts import FORKS

PAID = {
    "record__tape": True,
    "payout__initial_balance": 20_000,
    "adversaries__0__count": 2,
    "adversaries__0__worker_params": {"scale": 20.0},
    "payout__utility_samples": 30,
}


def journal_incomes(result):
    """Net flows of every device beside what it held at the start."""
    journal = result.journal[result.journal["reason"] != "initial"]
    names = [f"device:{d}" for d in range(result.settings["devices"])]
    flows = (
        journal.groupby("credit", observed=True)["amount"].sum(),
        journal.groupby("debit", observed=True)["amount"].sum(),
    )
    got, paid = (f.reindex(names, fill_value=0) for f in flows)
    return (got - paid).tolist()


def own_incomes(result):
    table = compare_payouts(result, [result.settings["payout"]["mechanism"]])
    assert table["error"].isna().all(), table["error"].iloc[0]
    assert table["device"].tolist() == list(range(result.settings["devices"]))
    return table["income"].tolist()


@pytest.mark.parametrize("mechanism", [m for m in rules.payouts.names() if m != "coordinator"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_rule_of_the_run_gets_the_incomes_of_the_run_through_forks(
    tiny, tmp_path, mechanism, seed
):
    result = run(tiny(payout__mechanism=mechanism, seed=seed, **PAID, **FORKS), tmp_path / "run")
    assert result.rounds["forked"].any() or result.rounds["heads"].max() > 1, (
        "there is something to get wrong"
    )
    assert own_incomes(result) == journal_incomes(result)


@pytest.mark.parametrize(
    "mechanism", ["slashed-vbfl", "decentralml", "shapley", "equal-share", "vbfl"]
)
def test_the_rule_of_the_run_gets_the_incomes_of_the_run_with_a_server(tiny, tmp_path, mechanism):
    changes = {"data__validation_fraction": 0.25, "payout__mechanism": mechanism, "rounds": 6}
    result = run(tiny("fedavg", **PAID, **changes), tmp_path / "run")
    assert own_incomes(result) == journal_incomes(result)


@pytest.mark.parametrize("mechanism", ["coordinator", "vbfl", "equal-share"])
def test_a_coordinated_run_is_replayed_with_what_its_contract_knew(tiny, tmp_path, mechanism):
    paid = PAID | {"payout__initial_balance": 5_000_000}
    groups = [
        {"name": "silent", "devices": [0], "worker": "no-reveal"},
        {"name": "bad", "devices": [1, 2], "worker": "gaussian-noise", "miner": "tamper"},
    ]
    for absent in ("adversaries__0__count", "adversaries__0__worker_params"):
        del paid[absent]
    scenario = tiny(
        "coordinator",
        payout__mechanism=mechanism,
        rounds=6,
        adversaries=groups,
        coordinator__watch=1.0,
        **paid,
    )
    result = run(scenario, tmp_path / "run")
    assert own_incomes(result) == journal_incomes(result)
    others = compare_payouts(result).set_index("mechanism")["error"]
    assert others.isna().all()


def test_parts_of_the_run_are_replayed_with_its_rule(tiny, tmp_path):
    parts = [{"part": "slashing", "params": {"stake": 500}}, {"part": "reputation"}]
    result = run(tiny(payout__mechanism="flat", payout__parts=parts, **PAID), tmp_path / "run")
    table = compare_payouts(result)
    whole = table[table["mechanism"] == "flat + slashing + reputation"]
    assert whole["income"].tolist() == journal_incomes(result)


def test_parameters_of_the_run_s_own_rule_are_kept(tiny, tmp_path):
    result = run(
        tiny(payout__mechanism="vbfl", payout__params={"unit_reward": 7}, **PAID), tmp_path / "run"
    )
    assert own_incomes(result) == journal_incomes(result)
    other = compare_payouts(result, {"vbfl": {}})["income"]
    assert (7 * other).tolist() == journal_incomes(result)


def test_nothing_of_the_run_s_own_rule_decides_what_others_get(tiny, tmp_path):
    """Flat pay does not move votes and stakes do not matter without a race: same events."""
    tables = []
    for mechanism in ("none", "data-size"):
        result = run(
            tiny(payout__mechanism=mechanism, validation__params={"threshold": 1.0}, **PAID),
            tmp_path / mechanism,
        )
        first = compare_payouts(result, ["flat", "improvement", "cosine", "vbfl-verified"])
        tables.append(first[first["device"].notna()])
        blocks = result.table("tape")
        assert blocks["verified_samples"].map(len).gt(0).any()
    rounds_of_each = [t.groupby("mechanism")["income"].sum() for t in tables]
    assert rounds_of_each[0]["flat"] == rounds_of_each[1]["flat"]


def test_a_rule_that_cannot_run_is_a_row(tiny, tmp_path, monkeypatch):
    (tmp_path / "bad.py").write_text(
        "from mechanisms.payouts.base import PayoutRule\n"
        "from mechanisms.vocabulary import Payment, Settlement\n"
        "class Overdrawn(PayoutRule):\n"
        "    '''Pays what it does not have.'''\n"
        "    name, summary, reference = 'overdrawn', 's', 'r'\n"
        "    def accounts(self): return {'escrow:x': 5}\n"
        "    def settle(self, seen): return Settlement((Payment(0, 6, 'reward.x', 'escrow:x'),))\n"
        "class Stranger(Overdrawn):\n"
        "    '''Pays somebody who is not there.'''\n"
        "    def settle(self, seen): return Settlement((Payment(99, 6, 'reward.x'),))\n"
    )
    monkeypatch.chdir(tmp_path)
    names = ["bad.py:Overdrawn", "flat", "bad.py:Stranger", "nowhere"]
    table = compare_payouts(run(tiny(**PAID), tmp_path / "run"), names)
    errors = table[table["error"].notna()].set_index("mechanism")["error"]
    assert set(errors.index) == {"bad.py:Overdrawn", "bad.py:Stranger", "nowhere"}
    assert "lacks 1 base units" in errors["bad.py:Overdrawn"]
    assert "pays device 99" in errors["bad.py:Stranger"]
    summary = by_mechanism(table)
    assert summary["mechanism"].tolist() == names
    assert summary.set_index("mechanism")["spent"].isna().tolist() == [True, False, True, True]


def test_without_held_out_samples_only_rules_that_need_them_fail(tiny, tmp_path):
    result = run(
        tiny("fedavg", rounds=2, record__tape=True, data__validation_fraction=0.0), tmp_path / "run"
    )
    table = compare_payouts(result)
    failed = table[table["error"].notna()]["mechanism"].tolist()
    needing = ["coordinator", "decentralml", "improvement", "leave-one-out", "shapley"]
    assert failed == [*needing, "slashed-vbfl"], "with nothing in hand nobody could pay its stake"
    assert by_mechanism(table)["mechanism"].tolist() == rules.payouts.names()


def test_a_rule_that_nobody_could_have_joined_is_an_error_as_it_is_in_a_run(tiny, tmp_path):
    settings = PAID | {"payout__initial_balance": 0}
    table = compare_payouts(run(tiny(**settings), tmp_path / "poor"), ["slashed-vbfl", "flat"])
    failed = table.set_index("mechanism")["error"].dropna()
    assert list(failed.index) == ["slashed-vbfl"]
    assert failed["slashed-vbfl"].startswith("nobody could have joined: ")
    assert pd.isna(by_mechanism(table).set_index("mechanism").at["slashed-vbfl", "honest"])
    with pytest.raises(SettingError, match="lets 0 devices join 'slashed-vbfl'"):
        World(tiny(**(settings | {"payout__mechanism": "slashed-vbfl"})))
    rich = run(tiny(**(settings | {"payout__initial_balance": 50_000})), tmp_path / "rich")
    assert compare_payouts(rich, ["slashed-vbfl"])["error"].isna().all()


def test_summary_is_that_of_the_devices(tiny, tmp_path):
    table = compare_payouts(run(tiny(**PAID), tmp_path / "run"), ["flat", "data-size"])
    assert table["device"].tolist() == [*range(8)] * 2
    summary = by_mechanism(table).set_index("mechanism")
    for name, part in table.groupby("mechanism"):
        assert summary.at[name, "honest"] == part[~part["adversary"]]["income"].mean()
        assert summary.at[name, "adversary"] == part[part["adversary"]]["income"].mean()
        assert summary.at[name, "spent"] == part["income"].sum()


def test_a_tape_survives_a_checkpoint(tiny, tmp_path):
    scenario = tiny(**PAID, **FORKS)
    whole = run(scenario, tmp_path / "whole")
    world = World(scenario)
    for _ in range(4):
        world.step()
    checkpoint.save(world, tmp_path / "halves.checkpoint")
    resumed = run(scenario, tmp_path / "halves")
    assert resumed.manifest["resumed"]
    assert resumed.digest() == whole.digest()


def test_no_tape_says_how_to_record_one(tiny, tmp_path):
    result = run(tiny(), tmp_path / "run")
    assert not (result.path / "tape.parquet").exists()
    with pytest.raises(RunError, match=r"--set record\.tape=true"):
        compare_payouts(result)


def test_recording_changes_nothing_else(tiny, tmp_path):
    plain, taped = run(tiny(), tmp_path / "plain"), run(tiny(record__tape=True), tmp_path / "taped")
    for name in ("rounds", "participants", "votes", "blocks", "journal"):
        pd.testing.assert_frame_equal(plain.table(name), taped.table(name))


def test_the_tape_holds_rows_of_the_model(tiny, tmp_path):
    tape = run(tiny(record__tape=True), tmp_path / "run").table("tape")
    manifest = open_run(tmp_path / "run").manifest
    for row in tape.itertuples():
        assert len(row.updates) == 4 * manifest["parameters"] * len(row.worker)
    assert tape["result"].iloc[0] == tape["start"].iloc[1]
    assert tape["head"].iloc[-1] == manifest["head"]
    mean = np.frombuffer(tape["updates"].iloc[0], np.float32).reshape(-1, manifest["parameters"])[
        tape["accepted"].iloc[0]
    ]
    np.testing.assert_allclose(
        mean.mean(0), np.frombuffer(tape["result"].iloc[0], np.float32), atol=1e-6
    )


def test_a_rule_that_lets_fewer_join_than_the_roles_need_is_an_error(tiny, tmp_path):
    few = tmp_path / "few.py"
    few.write_text(
        "from mechanisms.payouts.flat import Flat\n"
        "class Few(Flat):\n"
        "    name = summary = reference = 'few'\n"
        "    def members(self, memory):\n"
        "        return frozenset({0, 1, 2})\n"
    )
    result = run(tiny(rounds=1, record__tape=True), tmp_path / "run")
    table = compare_payouts(result, [f"{few}:Few", "flat"])
    (error,) = table["error"].dropna()
    assert error == "lets 3 devices join, the roles need 8; a run with this rule is refused"
