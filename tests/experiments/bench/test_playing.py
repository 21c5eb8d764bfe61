"""What is paid on tapes is what runs of the rule's own pay; what cannot be is played."""

import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.audits.certificate import VerifyError
from experiments.bench.making import Bench, ask
from experiments.bench.record import write_record
from experiments.bench.row import row_of
from experiments.bench.suite import Suite, load_suite
from experiments.bench.verifying import verify_row
from experiments.cli import app
from experiments.recorded import RunError
from fedstake.errors import InputError
from fedstake.outside import seal, unseal
from mechanisms import registries as rules

PICKY = Path(__file__).parents[2] / "plugins" / "picky.py"


def small(worlds=("churn",), variants=("flip", "often-absent"), **changes):
    """Suite 1 with fewer worlds, deviations and seeds."""
    whole = load_suite()
    values = whole.model_dump() | {
        "worlds": {name: whole.worlds[name] for name in worlds},
        "stakes": {"zipf": whole.stakes["zipf"]},
        "seeds": 2,
        "identities": (2,),
        "sizes": (2,),
        "deviations": {name: whole.deviations[name] for name in variants},
        "coalitions": {"against-others": whole.coalitions["against-others"]},
    }
    return Suite.model_validate(values | changes)


@pytest.fixture(scope="module")
def suite():
    return small()


@pytest.fixture(scope="module")
def bench(suite, tmp_path_factory):
    """Its tapes are played once for all tests of this file."""
    return Bench(suite, tmp_path_factory.mktemp("bench"), workers=1, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stake-weighted", "slashed-vbfl"])
def test_what_is_paid_on_tapes_is_what_runs_of_the_rule_s_own_pay(bench, suite, name):
    """Churners, lying validators, sybils; stakes that the rule itself moves, slashed deposits."""
    asked = ask(name, suite)
    on_tapes, _ = bench.on_tapes([asked])[0]
    own, shapley = bench.play(asked, list(on_tapes))
    assert len(on_tapes) >= 10
    for place, account in on_tapes.items():
        played = own[place]
        assert account.income == played.income, place
        assert account.moves == played.moves, place
        assert account.groups == played.groups, place
        assert account.accuracy == played.accuracy, place
        assert account.utility == pytest.approx(played.utility, abs=1e-6), place
    assert shapley == bench.shapley
    assert any(sum(account.income) for account in on_tapes.values())


@pytest.mark.slow
def test_a_rule_that_shuts_devices_out_is_played_where_it_does(bench, suite):
    asked = ask(f"{PICKY}:Picky", suite)
    (record,) = bench.records([asked])
    assert record.why.keys() == {"shuts devices out"}
    assert record.played == sum(record.why.values()) > 0
    assert record.on_tape + record.played == len(bench.places(asked.protocol))
    assert record.rule == "picky.py:Picky"
    assert record.payout == {"payout.mechanism": "picky.py:Picky"}


def test_slashing_changes_who_plays_where_a_spare_identity_waits(bench, suite):
    _, reasons = bench.on_tapes([ask("slashed-vbfl", suite)])[0]
    assert {variant.kind for _, variant in reasons} <= {"alone"}
    assert set(reasons.values()) <= {"takes a deposit, and a spare identity waits"}


def test_a_rule_that_fails_has_no_row(bench, suite):
    with pytest.raises(RunError, match=r"broken: churn, zipf, seed \d+, .*its run fails"):
        bench.records([ask(f"{PICKY}:Broken", suite)])


def test_the_rule_of_shapley_values_is_no_way_from_them(bench, suite):
    shapley, none = bench.records([ask("shapley", suite), ask("none", suite)])
    assert row_of(shapley, suite)["shapley_distance"] == 0
    assert math.isnan(row_of(none, suite)["shapley_distance"])
    assert row_of(none, suite)["budget"] == row_of(none, suite)["payments"] == 0


def test_a_pot_is_the_budget_and_its_payments_are_counted(bench, suite):
    (record,) = bench.records([ask("data-size", suite, {"payout.params.pot": 6_000})])
    row = row_of(record, suite)
    assert row["on_tape"] == len(bench.places(suite.protocols[0]))
    # A round whose miner is offline has no block; division leaves a few units.
    assert 0 < row["budget"] <= 6_000
    assert row["income"] * 10 / suite.rounds == pytest.approx(row["budget"])
    assert row["fee"] == pytest.approx(20.2 + 2.08 * row["payments"])


# --- rows of strangers --------------------------------------------------------------------------


@pytest.fixture
def theirs(bench, suite, tmp_path):
    """A stranger's rule with its row."""
    file = tmp_path / "picky.py"
    file.write_text(PICKY.read_text())
    (record,) = bench.records([ask(f"{file}:Picky", suite)])
    write_record(record, tmp_path / "row.json")
    return tmp_path / "row.json"


@pytest.mark.slow
def test_a_stranger_s_row_is_played_again_and_a_forged_one_found_out(bench, suite, theirs):
    with pytest.raises(InputError, match="imported only with --trust"):
        verify_row(theirs, bench, sample=3)
    done = verify_row(theirs, bench, sample=1_000, seed=1, trust=True)
    assert done.played == 2 * (1 + 5)

    whole = theirs.read_text()
    for change, words in (
        (lambda v: v["gains"]["flip"].__setitem__(1, 1e4), "gains.flip, churn, zipf, seed"),
        (lambda v: v["honest"]["gini"].__setitem__(0, 0.0), "honest.gini, churn, zipf, seed"),
        (lambda v: v.update(file_hash="0"), "file_hash: is not that of"),
        (lambda v: v.update(called="flat"), "the rule is picky"),
    ):
        values = unseal(theirs)
        change(values)
        theirs.write_text(seal(values))
        with pytest.raises(VerifyError, match=words):
            verify_row(theirs, bench, sample=1_000, trust=True)
        theirs.write_text(whole)


@pytest.mark.slow
def test_the_command_writes_a_row_with_its_card(tmp_path, monkeypatch, suite, bench):
    """With the small suite in the place of the whole one."""
    monkeypatch.setattr("experiments.bench.suite.load_suite", lambda: suite)
    monkeypatch.setattr("experiments.bench.making.load_suite", lambda: suite)
    words = ["bench", "flat", "--out", str(bench.folder), "--workers", "1"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1].startswith("written to ")
    assert "no leaderboard to compare with" in done.output  # that of suite 1 is another one's
    place = bench.folder / "flat"
    for name in ("row.json", "row.csv", "gains.csv", "card.html"):
        assert (place / name).stat().st_size > 100, name
    done = CliRunner().invoke(app, ["verify", str(place / "row.json"), "--sample", "2"])
    assert done.exit_code == 0, done.output
    assert "2 values of the row played again" in done.output


def test_every_shipped_payout_rule_can_be_asked_for():
    for name in rules.payouts.names():
        assert ask(name, load_suite()).called == name
