"""The suite is frozen; rows follow from records; records from outside are checked."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from experiments.bench.board import (
    COMMITTED,
    board_of,
    label_of,
    read_board,
    shown_rows,
    write_board,
)
from experiments.bench.card import claims_about, index, markdown, sections_of
from experiments.bench.making import ask, folder_of
from experiments.bench.record import Honest, Record, read_record, write_record
from experiments.bench.row import ORDER, VERDICTS, answer, gains_of, row_of, what_pays
from experiments.bench.suite import load_suite
from experiments.cli import app
from experiments.loader import ScenarioError
from fedstake.errors import InputError
from mechanisms.payouts.flat import Flat
from mechanisms.registries import payouts
from sim.scenario import SCHEMA_VERSION

SUITE = load_suite()
CELLS = len(SUITE.cells())
PAYOFF = 1_000.0


def record(gains=None, **changes):
    """A rule under which variants gain nothing but for those named, all cells alike."""
    honest = dict.fromkeys(Honest.model_fields, (1.0,) * CELLS)
    honest |= {"size": (PAYOFF,) * CELLS, "losing": (0.0,) * CELLS}
    honest |= {name: changes.pop(name) for name in list(changes) if name in Honest.model_fields}
    variants = [v.name for v in SUITE.variants("vbfl") if v.baseline]
    values = {
        "suite": SUITE.version,
        "suite_hash": SUITE.hash,
        "schema_version": SCHEMA_VERSION,
        "fedstake": "0.1.0",
        "rule": "flat",
        "called": "flat",
        "payout": {"payout.mechanism": "flat"},
        "protocol": "vbfl",
        "on_tape": 7,
        "played": 0,
        "honest": honest,
        "gains": dict.fromkeys(variants, (0.0,) * CELLS) | (gains or {}),
    }
    return Record.model_validate(values | changes)


# --- the suite ----------------------------------------------------------------------------------


def test_suite_1_is_frozen():
    """Whoever changes a value, or how scenarios are played, makes suite 2."""
    assert (SUITE.version, SUITE.hash) == (1, "24ea2e1e9e792de3")


def test_the_suite_is_what_the_leaderboard_says_that_it_is():
    assert list(SUITE.worlds) == ["iid", "shards", "dirichlet", "sizes", "noise", "churn"]
    assert len(SUITE.stakes) == 2
    assert SUITE.identities == (2, 3, 5)
    seeds = [cell.seed for cell in SUITE.cells()]
    assert len(seeds) == len(set(seeds)) == 6 * 2 * SUITE.seeds


@pytest.mark.parametrize("protocol", SUITE.protocols, ids=lambda p: p.name)
def test_every_variant_can_be_played_and_no_behaviour_is_told_the_payout_rule(protocol):
    """A behaviour that is told the rule would play otherwise under another one."""
    payout = {"payout.mechanism": "coordinator" if protocol.name == "coordinator" else "flat"}
    cell = SUITE.cells()[0]
    for variant in SUITE.variants(protocol.name):
        scenario = SUITE.scenario(protocol, cell, variant, payout)
        behaviours = [c for c in scenario.choices() if c.key.startswith("adversaries.")]
        for choice in behaviours:
            assert "rules" not in getattr(choice.create(), "knows", ()), variant.name


# --- rows ---------------------------------------------------------------------------------------


def test_a_gain_has_students_interval_for_all_variants_together():
    rng = np.random.default_rng(0)
    values = tuple((300 + 200 * rng.standard_normal(CELLS)).tolist())
    gains = gains_of(record({"lazy": values}), SUITE)
    mean, spread = np.mean(values), np.std(values, ddof=1)
    alpha = (1 - SUITE.level) / len(gains)
    half = stats.t.ppf(1 - alpha / 2, CELLS - 1) * spread / math.sqrt(CELLS)
    found = gains.set_index("variant").loc["lazy"]
    assert found[["gain", "low", "high"]].tolist() == pytest.approx(
        [mean, mean - half, mean + half]
    )
    assert found["verdict"] == "profitable"
    assert found["share"] == pytest.approx(100 * mean / PAYOFF)


@pytest.mark.parametrize(
    ("gains", "verdict", "coalition"),
    [
        ({}, "compatible", None),
        ({"lazy": 30.0}, "compatible", None),
        ({"lazy": 60.0}, "undecided", None),
        ({"lazy": 200.0}, "profitable", 1),
        ({"3 x lazy": 200.0}, "profitable", 3),
        ({"3 x lazy": 200.0, "2 x idle": 200.0}, "profitable", 2),
        ({"5 identities, data split": 200.0}, "profitable", None),
    ],
)
def test_the_verdict_and_the_smallest_coalition(gains, verdict, coalition):
    """What counts is 5 % of a payoff of 1,000, with a spread of a third of that at least."""
    row = row_of(record({name: (gain,) * CELLS for name, gain in gains.items()}), SUITE)
    assert (row["verdict"], row["coalition"]) == (verdict, coalition)


def test_the_row_is_of_the_largest_gain_and_says_it_first():
    spread = tuple(150 + 30 * (-1) ** i for i in range(CELLS))
    row = row_of(record({"lazy": spread, "coin": (120.0,) * CELLS}), SUITE)
    assert row["best_deviation"] == "lazy"
    assert row["ic_gap"] == pytest.approx(150)
    assert row["ic_gap_share_low"] < row["ic_gap_share"] == pytest.approx(15)
    assert answer(row, SUITE).startswith("flat: deviating pays a single device: lazy 15 %")
    assert row["sybil_gain_5"] == 0
    assert row["fee"] == pytest.approx(20.2 + 2.08 + 3.89 + 2.02)


def test_measures_that_some_cells_have_not_are_of_the_others():
    known = (0.25,) * (CELLS - 3) + (None,) * 3
    row = row_of(record(gini=known, shapley=(None,) * CELLS), SUITE)
    assert (row["gini"], row["gini_cells"]) == (0.25, CELLS - 3)
    assert math.isnan(row["shapley_distance"])
    assert row["shapley_distance_cells"] == 0


def test_a_rule_that_pays_nothing_is_measured_by_costs():
    idle = {"free-ride-zero": (380.0,) * CELLS}
    nothing = record(idle, income=(0.0,) * CELLS, payoff=(-400.0,) * CELLS, size=(400.0,) * CELLS)
    row = row_of(nothing, SUITE)
    assert row["verdict"] == "profitable"
    assert row["ic_gap_share"] == pytest.approx(95)


# --- files from outside -------------------------------------------------------------------------


def changed(path, change):
    """Change a record's file as somebody would who also makes its hash anew."""
    from fedstake.outside import seal, unseal

    values = unseal(path)
    change(values)
    path.write_text(seal(values))


def test_a_record_is_read_as_it_was_written(tmp_path):
    whole = record({"lazy": tuple(range(CELLS))})
    write_record(whole, tmp_path / "row.json")
    assert read_record(tmp_path / "row.json", SUITE) == whole


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.update(suite_hash="0"), "rows of another suite are not compared"),
        (lambda v: v.update(protocol="market"), "must be one of vbfl, coordinator"),
        (lambda v: v["gains"].pop("lazy"), "the suite has other variants"),
        (lambda v: v["gains"].update(lazy=[1.0]), "must be one for each of"),
        (lambda v: v["honest"].update(income=[0.0]), "must be one for each of"),
        (lambda v: v["gains"].update(lazy=["x"] * CELLS), "gains.lazy.0"),
        (lambda v: v.update(payout={}), "must name payout.mechanism"),
        (lambda v: v.update(called="a\u202eb"), "called"),
        (lambda v: v.update(extra=1), "extra"),
    ],
)
def test_a_record_that_does_not_fit_the_suite_costs_a_line(tmp_path, change, words):
    file = tmp_path / "row.json"
    write_record(record(), file)
    changed(file, change)
    with pytest.raises(ScenarioError, match="row") as error:
        read_record(file, SUITE)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1', "NaN", '{"a": ' * 200 + "1"])
def test_a_file_that_is_no_record_costs_a_line(tmp_path, text):
    (tmp_path / "row.json").write_text(text)
    with pytest.raises(InputError, match="row"):
        read_record(tmp_path / "row.json", SUITE)


def test_a_value_that_was_changed_by_hand_is_noticed(tmp_path):
    file = tmp_path / "row.json"
    write_record(record(), file)
    values = json.loads(file.read_text())
    values["gains"]["lazy"][0] = 5.0
    file.write_text(json.dumps(values))
    with pytest.raises(InputError, match="damaged"):
        read_record(file, SUITE)


# --- the leaderboard ----------------------------------------------------------------------------


def board():
    best = record(called="best", rule="best")
    worst = record({"lazy": (900.0,) * CELLS}, called="worst", rule="worst")
    bad = record({"lazy": (300.0,) * CELLS}, called="bad", rule="bad")
    return board_of([worst, best, bad], SUITE, "fedstake bench --all")


def test_the_best_stands_first_and_the_files_say_the_same(tmp_path):
    made = board()
    assert made.rows["rule"].tolist() == ["best", "bad", "worst"]
    write_board(made, tmp_path)
    again = read_board(tmp_path, SUITE)
    pd.testing.assert_frame_equal(again.rows, made.rows, check_dtype=False, rtol=1e-5)
    assert again.about == made.about
    assert len(again.gains) == 3 * len(record().gains)


def test_a_stranger_s_row_stands_beside_the_shipped_rule_of_its_name():
    own = record({"lazy": (200.0,) * CELLS}, called="best", rule="b.py:Best", file_hash="ab")
    merged = board().with_rows([own], SUITE)
    assert label_of(own) == "best (b.py)"
    assert merged.rows["rule"].tolist() == ["best", "best (b.py)", "bad", "worst"]
    twice = merged.with_rows([own], SUITE)
    assert len(twice.rows) == 4
    assert len(twice.gains) == len(merged.gains)


def test_a_rule_by_path_has_a_folder_of_its_own(tmp_path):
    """Its row never takes the place of that of an installed rule of its name."""
    shipped, own = record(called="best"), record(called="best", rule="b.py:Best", file_hash="ab")
    assert folder_of(shipped, tmp_path) == tmp_path / "best"
    assert folder_of(own, tmp_path) == tmp_path / "best-b.py"


def test_a_leaderboard_of_another_suite_is_refused(tmp_path):
    write_board(board(), tmp_path)
    file = tmp_path / "leaderboard.toml"
    file.write_text(file.read_text().replace(SUITE.hash, "0" * 16))
    with pytest.raises(InputError, match="rows of different suites are not compared"):
        read_board(tmp_path, SUITE)


def test_the_table_that_people_see_has_no_gaps():
    shown = shown_rows(board().rows, SUITE)
    assert shown["coalition"].tolist() == ["none found", "1", "1"]
    assert not shown.isin(["nan", "None"]).any().any()


# --- cards --------------------------------------------------------------------------------------


def test_a_card_says_who_gains_what_it_sees_and_escapes_what_is_no_markdown():
    made = board()
    row = made.rows.iloc[2].to_dict()
    gains = made.gains[made.gains["rule"] == "worst"]
    text = markdown("flat", sections_of(Flat, row, gains, SUITE))
    assert "worst: deviating pays a single device: lazy 90 %" in text
    assert "| votes | who voted which way on each update |" in text
    assert "| lazy | 900 (" in text
    assert "mechanisms/payouts/flat.py" in text
    assert markdown("x", sections_of(Flat, row | {"rule": "a<b>|*"}, gains, SUITE)).count(
        r"a\<b\>\|\*"
    )


def test_a_rule_that_is_not_measured_has_a_card_and_is_named_in_the_index():
    made = board()
    text = markdown("flat", sections_of(Flat, None, made.gains[:0], SUITE))
    assert "fedstake bench flat measures it." in text
    assert "gains" not in text
    page = index(made.rows, SUITE, ["best", "new"])
    assert page.rstrip().endswith("Not measured yet: [`new`](new.md).")


def test_a_name_that_no_row_can_have_is_refused_before_anything_is_played(tmp_path):
    (tmp_path / "long.py").write_text(
        f"from mechanisms.payouts.flat import Flat\nclass Long(Flat):\n    name = {'long' * 21!r}\n"
    )
    with pytest.raises(InputError, match="at most 80 characters"):
        ask(f"{tmp_path}/long.py:Long", SUITE)


def test_claims_about_a_rule_are_those_of_the_register(tmp_path):
    assert claims_about("flat", tmp_path / "none") == []
    found = {claim["file"]: claim for claim in claims_about("vbfl")}
    inflated = found["vbfl-claims-cannot-be-inflated.toml"]
    assert inflated["verdict"] == "fails"
    assert inflated["by"] == "VBFL"
    assert "base units per run" in inflated["measured"]
    unplayed = claims_about("vbfl", numbers=tmp_path / "none.csv")
    assert {claim["measured"] for claim in unplayed} == {"not played yet"}


# --- the command --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give either a RULE, or --table, or --all"),
        (["flat", "--all"], "give either a RULE, or --table, or --all"),
        (["flat", "--row", "x"], "only with --table"),
        (["--table", "--set", "a=1"], "only with a RULE"),
        (["majority"], "is a labelling rule, and the suite covers payout rules"),
        (["flatt"], "did you mean 'flat'?"),
        (["flat", "--set", "rounds=3"], "the suite is frozen"),
        (["flat", "--set", "payout.params.worker=-1"], "must be >= 0"),
        (["flat", "--set", 'payout.parts=[{part="hashed-claims"}]'], "needs protocol = 'poc'"),
    ],
)
def test_what_cannot_be_asked_costs_a_line(words, says):
    done = CliRunner().invoke(app, ["bench", *words])
    assert done.exit_code == 2
    line = done.output.strip()
    assert says in line
    assert "\n" not in line


def test_a_rule_has_the_protocol_that_it_can_be_played_under():
    assert ask("flat", SUITE).protocol.name == "vbfl"
    assert ask("coordinator", SUITE).protocol.name == "coordinator"
    parts = {"payout.parts": [{"part": "slashing", "params": {"stake": 5}}]}
    assert ask("flat", SUITE, parts).called == "flat + slashing"


def test_the_leaderboard_that_comes_with_the_repository_is_printed():
    done = CliRunner().invoke(app, ["bench", "--table"], terminal_width=200)
    assert done.exit_code == 0, done.output
    for name in ("flat", "vbfl", "coordinator", "shapley"):
        assert name in done.output


def test_a_stranger_s_row_is_put_into_the_leaderboard(tmp_path):
    own = record({"lazy": (200.0,) * CELLS}, called="mine", rule="m.py:Mine", file_hash="ab")
    write_record(own, tmp_path / "row.json")
    words = ["bench", "--table", "--row", str(tmp_path / "row.json"), "--write", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    kept, written = read_board(COMMITTED, SUITE).rows, read_board(tmp_path, SUITE).rows
    assert set(written["rule"]) == {*kept["rule"], "mine (m.py)"}
    places = written["verdict"].map(VERDICTS.index).tolist()
    assert places == sorted(places)


def test_the_leaderboard_has_every_variant_of_every_rule_in_it():
    board = read_board(COMMITTED, SUITE)
    assert len(board.rows) >= 17
    assert {*board.rows["rule"]} <= {*payouts.names()}
    for protocol in SUITE.protocols:
        ours = board.rows[board.rows["protocol"] == protocol.name]["rule"]
        wanted = sorted(v.name for v in SUITE.variants(protocol.name) if v.baseline)
        for rule in ours:
            assert sorted(board.gains[board.gains["rule"] == rule]["variant"]) == wanted
            row = board.rows[board.rows["rule"] == rule].iloc[0]
            assert row["on_tape"] + row["played"] == CELLS * len(SUITE.variants(protocol.name))


# --- what decides a verdict ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gains", "pays"),
    [
        ({}, ""),
        ({"lazy": 60.0}, ""),
        ({"lazy": 200.0, "coin": 300.0}, "coin"),
        ({"5 identities, data split": 900.0, "3 x lazy": 200.0}, "3 x lazy"),
        ({"2 identities, data split": 200.0, "3 x lazy": 900.0}, "2 identities, data split"),
    ],
)
def test_what_pays_is_what_takes_the_fewest_devices(gains, pays):
    row = row_of(record({name: (gain,) * CELLS for name, gain in gains.items()}), SUITE)
    assert row["pays"] == pays
    assert (row["verdict"] == "profitable") == bool(pays)


def test_the_leaderboard_that_is_kept_says_what_its_gains_say():
    board = read_board(COMMITTED, SUITE)
    for _, row in board.rows.iterrows():
        gains = board.gains[board.gains["rule"] == row["rule"]]
        assert row["pays"] == what_pays(gains)
        assert (row["verdict"] == "profitable") == bool(row["pays"]), row["rule"]


def test_the_printed_leaderboard_fits_80_columns_and_says_what_it_is_ordered_by():
    done = CliRunner().invoke(app, ["bench", "--table"], env={"COLUMNS": "80"})
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80
    heading = " ".join(" ".join(lines[:2]).split())
    assert ORDER in heading
    assert "what pays" in lines[2]
    assert ORDER in index(board().rows, SUITE, [])


@pytest.mark.parametrize("row", [None, row_of(record(), SUITE)])
def test_a_card_names_commands_that_find_the_rule(row):
    """A rule by path is found by no name."""
    sections = sections_of(Flat, row, board().gains[:0], SUITE, given="my rules.py:Flat")
    text = markdown("flat", sections)
    named = re.findall(r"fedstake \w+ (\S+)", text)
    assert len(named) == 2 + (row is None)
    assert set(named) == {"'my"}
    assert text.count("'my rules.py:Flat'") == len(named)


def test_what_a_user_calls_a_rule_is_kept_for_its_card(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(
        "from mechanisms.payouts.flat import Flat\nclass Own(Flat):\n    name = 'own'\n"
    )
    assert ask("own.py:Own", SUITE).given == "own.py:Own"
