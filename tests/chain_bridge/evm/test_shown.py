"""A report shows the replays of its run; a replay that is damaged or forged costs it one line."""

import dataclasses
import json
import os
import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chain_bridge import Options, replay_run
from chain_bridge.errors import PlanError
from chain_bridge.evm.witness import play_run
from chain_bridge.executions import at_the_end, executions, in_short
from chain_bridge.written import EVM, SUBSTRATE, read_replay
from experiments import open_run, report
from experiments.reports.replays import replay_parts
from experiments.rundir import may_replace
from tests.chain_bridge.evm.conftest import RUNS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def replayed(recorded, evm_programs, devchain):
    """A run of every attack with its replays on both chains."""
    folder = recorded(seed=0, **RUNS["coordinator"] | {"rounds": 3})
    play_run(folder)
    replay_run(folder, Options(endpoint=devchain.url, custody="operator"))
    return folder


@pytest.fixture
def folder(replayed, tmp_path):
    """A copy of it."""
    return shutil.copytree(replayed, tmp_path / "run")


def texts(folder, target):
    """All lines and notes of the sections, and their headings."""
    parts = replay_parts(open_run(folder), target)
    return [p.heading for p in parts], [line for p in parts for line in (*p.lines, p.note)]


def section(folder, target, heading):
    return next(p for p in replay_parts(open_run(folder), target) if p.heading == heading).table


def change(file, column, edit):
    """Write a table again with one column changed, of the same type."""
    table = pq.read_table(file)
    place = table.column_names.index(column)
    values = edit(table[column].to_pylist())
    kind = table.schema.field(column).type
    pq.write_table(table.set_column(place, column, pa.array(values, type=kind)), file)


def test_three_executions_hold_the_same(replayed):
    run = open_run(replayed)
    replays = [read_replay(replayed / k.folder, k, run.run_id) for k in (SUBSTRATE, EVM)]
    table = executions(run.journal, replays)
    assert (table["journal"] == table["substrate"]).all()
    assert (table["journal"] == table["evm"]).all()
    assert set(table["round"]) >= set(run.journal["round"])
    # The last balances are those that the run recorded of its devices.
    end = at_the_end(table).set_index("account")["journal"]
    recorded = run.participants[run.participants["round"] == run.participants["round"].max()]
    for device, balance in zip(recorded["device"], recorded["balance"], strict=True):
        assert end[f"device:{device}"] == balance
    short = in_short(table, replays).set_index("execution")
    assert (short["balances"] == len(table)).all()
    assert (short["differ"] == 0).all()
    issued = run.journal.loc[run.journal["debit"] == "issuance", "amount"].sum()
    burned = run.journal.loc[run.journal["credit"] == "burn", "amount"].sum()
    assert (short["supply"] == issued - burned).all()


def test_what_rounding_leaves_is_measured_on_the_contract(replayed):
    """A pot among n equal workers leaves pot mod n, and nothing is left where nobody is paid."""
    run = open_run(replayed)
    pot = run.settings["payout"]["params"]["pot"]
    rounds = pd.read_parquet(replayed / "replay-evm" / "rounds.parquet").set_index("round")
    workers = run.participants[run.participants["role"] == "worker"]
    accepted = workers.groupby("round")["accepted"].sum()
    assert len(accepted)
    for r, count in accepted.items():
        assert rounds.loc[r, "undivided"] == (pot % count if count else 0)
    assert rounds["undivided"].sum() > 0
    lines = texts(replayed, replayed.parent)[1]
    assert any(f"but for {rounds['undivided'].sum()} units in all" in line for line in lines)


def test_the_page_leads_with_the_verdicts(folder):
    page = report(open_run(folder), figures="accuracy").read_text()
    assert "<p class=lead>Substrate: reconciled: " in page
    assert "<p>EVM: reconciled: " in page
    for heading in ("Balances at the end", "Cost of each round", "Enforced on EVM"):
        assert f"<h2>{heading}</h2>" in page
    written = pd.read_csv(folder / "report" / "executions.csv")
    assert (written["evm_difference"] == 0).all()
    assert report(open_run(folder), figures="accuracy").read_text() == page
    assert may_replace(folder), "a run with its replays may be played again"


def test_costs_add_up_beside_utility(folder, tmp_path):
    gas = json.loads((folder / "replay-evm" / "verdict.json").read_text())["gas"]
    fees = json.loads((folder / "replay" / "verdict.json").read_text())["fees"]
    for heading in ("Cost of each round", "Cost of each participant"):
        table = section(folder, tmp_path, heading)
        for column, total in (("EVM gas", gas), ("Substrate fee", fees)):
            cells = [v for v in table[column] if v != "–"]
            assert sum(int(v.replace(",", "")) for v in cells) == total
    people = section(folder, tmp_path, "Cost of each participant").set_index("participant")
    run = open_run(folder)
    own = run.participants.groupby("device")["utility"].sum()
    assert int(people.loc["device 0", "utility"].replace(",", "").replace("−", "-")) == own[0]


def test_refusals_are_listed_with_the_reason(folder, tmp_path):
    table = section(folder, tmp_path, "Enforced on EVM")
    calls = pd.read_parquet(folder / "replay-evm" / "calls.parquet")
    refused = calls[calls["outcome"] != "done"]
    assert table["times"].astype(int).sum() == len(refused) > 0
    assert set(table["reason on the contract"]) == set(refused["outcome"])
    assert (table["as it should be"] == "yes").all()


def test_a_run_without_replays_has_no_section(played, tmp_path):
    assert replay_parts(open_run(played("coordinator")), tmp_path) == []


def test_one_replay_alone_is_shown(folder, tmp_path):
    shutil.rmtree(folder / "replay")
    table = section(folder, tmp_path, "Balances at the end")
    assert list(table) == ["account", "journal", "EVM", "rounds that differ"]


def test_a_chain_that_differs_is_seen(folder, tmp_path):
    file = folder / "replay-evm" / "reconciliation.parquet"
    rows = pd.read_parquet(file)
    at = rows.index[(rows["check"] == "balance") & (rows["account"] == "device:3")][-1]

    def edit(values):
        values[at] += 1
        return values

    change(file, "chain", edit)
    assert any("EVM: NOT reconciled: 1 of" in line for line in texts(folder, tmp_path)[1])
    table = section(folder, tmp_path, "Balances at the end")
    assert table.iloc[0]["account"] == "device:3"
    assert table.iloc[0]["rounds that differ"] == "1"
    short = section(folder, tmp_path, "Executions of the same tape").set_index("execution")
    assert short.loc["EVM", "differ"] == short.loc["EVM", "largest difference"] == "1"

    # A replay whose own journal was changed with it does not agree with the run's.
    change(file, "journal", edit)
    lines = texts(folder, tmp_path)[1]
    assert any("differ from the journal of this run" in line for line in lines)


def test_balances_that_were_left_out_are_missing(folder, tmp_path):
    file = folder / "replay-evm" / "reconciliation.parquet"
    table = pq.read_table(file)
    last = pa.array([not (c == "balance" and a == "device:3") for c, a in _pairs(table)])
    pq.write_table(table.filter(last), file)
    assert any("1 account not read at the end" in line for line in texts(folder, tmp_path)[1])


def _pairs(table):
    return zip(table["check"].to_pylist(), table["account"].to_pylist(), strict=True)


def verdict_of(key, value):
    def edit(place):
        values = json.loads((place / "verdict.json").read_text())
        values[key] = value
        (place / "verdict.json").write_text(json.dumps(values))

    return edit


def column_of(name, column, edit):
    return lambda place: change(place / f"{name}.parquet", column, edit)


def another_type(place):
    table = pd.read_parquet(place / "gas.parquet").astype({"gas": float})
    table.to_parquet(place / "gas.parquet")


def no_column(place):
    pd.read_parquet(place / "calls.parquet").drop(columns="outcome").to_parquet(
        place / "calls.parquet"
    )


def pipe(place):
    (place / "gas.parquet").unlink()
    os.mkfifo(place / "gas.parquet")


WRONG = {
    "no verdict": (lambda place: (place / "verdict.json").unlink(), "verdict.json is missing"),
    "no JSON": (lambda place: (place / "verdict.json").write_text("{"), "is not JSON"),
    "a list": (lambda place: (place / "verdict.json").write_text("[]"), "run_id: must be text"),
    "verdict": (verdict_of("verdict", 1), "verdict: must be text"),
    "chain": (verdict_of("chain", [1]), "chain.node: must be text"),
    "calls": (verdict_of("calls", "many"), "calls: must be a whole number"),
    "another run": (verdict_of("run_id", "0" * 32), "a replay of another run"),
    "no table": (lambda place: (place / "gas.parquet").unlink(), "gas.parquet is missing"),
    "damaged": (lambda place: (place / "gas.parquet").write_bytes(b"PAR1 no"), "damaged"),
    "pipe": (pipe, "is no regular file"),
    "no column": (no_column, "must have one column outcome"),
    "another type": (another_type, "column gas must hold whole numbers"),
    "gaps": (column_of("gas", "gas", lambda v: [None, *v[1:]]), "without gaps"),
    "huge": (column_of("gas", "gas", lambda v: [2**62] * len(v)), "column gas must hold 0 to"),
    "round": (column_of("gas", "round", lambda v: [-1, *v[1:]]), "column round must hold 0 to"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_replay_costs_one_line(folder, tmp_path, name):
    spoil, reason = WRONG[name]
    spoil(folder / "replay-evm")
    headings, lines = texts(folder, tmp_path)
    (line,) = [line for line in lines if line.startswith("The replay on EVM cannot be shown: ")]
    assert reason in line
    assert "\n" not in line
    assert "Enforced on EVM" not in headings
    assert any(line.startswith("Substrate: reconciled") for line in lines)
    with pytest.raises(PlanError, match="replay-evm"):
        read_replay(folder / "replay-evm", EVM, open_run(folder).run_id)


def test_names_in_a_replay_do_nothing(folder):
    evil = "<script>alert(1)</script>"
    change(folder / "replay-evm" / "calls.parquet", "outcome", lambda v: [evil] * len(v))
    change(folder / "replay-evm" / "reconciliation.parquet", "account", lambda v: [evil] * len(v))
    values = json.loads((folder / "replay-evm" / "verdict.json").read_text())
    values["chain"]["contract"] = "=cmd|x!\x1b[31m" + evil
    (folder / "replay-evm" / "verdict.json").write_text(json.dumps(values))
    page = report(open_run(folder), figures="accuracy").read_text()
    assert evil not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;" in page


def test_keys_that_a_kind_does_not_have_are_not_read(folder, tmp_path):
    place = folder / "replay-evm"
    for key, value in (("money", {"scale": "x"}), ("skipped", 5), ("custody", [1])):
        verdict_of(key, value)(place)
    assert any(line.startswith("EVM: reconciled: ") for line in texts(folder, tmp_path)[1])


def test_a_scale_is_divided_out(replayed):
    run = open_run(replayed)
    replay = read_replay(replayed / "replay", SUBSTRATE, run.run_id)
    scaled = dataclasses.replace(replay, verdict={**replay.verdict, "money": {"scale": 7}})
    table = executions(run.journal, [scaled])
    held = table[table["journal"] > 0].iloc[0]
    assert held["substrate"] * 7 == held["journal"]
    assert held["substrate_difference"] == -6 * held["journal"]
