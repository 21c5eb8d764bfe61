"""What contracts pay is what the simulation paid; any difference is a finding that is named."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from chain_bridge.errors import PlanError
from chain_bridge.evm.accounts import Account
from chain_bridge.evm.adapters import adapter_of, tables
from chain_bridge.evm.adapters.coordinated import Coordinated
from chain_bridge.evm.witness import gas_by_call, play_run, rehearse
from chain_bridge.recording import read
from fedstake.errors import FedstakeError
from tests.chain_bridge.evm.conftest import MARKET, RUNS
from tests.conftest import PATIENCE_S

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


def reading(folder):
    return read(folder, tables())


@pytest.mark.parametrize("name", RUNS)
def test_contracts_pay_what_the_journal_says(played, tmp_path, name):
    run = reading(played(name))
    done = play_run(run.path, out=tmp_path / "out")
    assert done.books.differences == []
    assert done.books.agrees, done.books.verdict
    books = pd.read_parquet(tmp_path / "out" / "reconciliation.parquet")
    assert {"balance", "moved", "calls", "supply", "backing", "recorded balance"} <= {
        *books["check"]
    }
    # Every entry of the journal is in some sum, of both its accounts.
    moved = books[books["check"] == "moved"]
    journal = run.journal[run.journal["debit"] != "issuance"]
    assert set(zip(journal["round"], journal["debit"], journal["reason"], strict=True)) <= set(
        zip(moved["round"], moved["account"], moved["reason"], strict=True)
    )
    assert set(books[books["check"] == "balance"]["round"]) >= set(run.journal["round"])


def test_attacks_are_refused_as_they_were(rehearsed):
    done = rehearsed("coordinator")
    noted = done.run.tables["incidents"].groupby("kind", observed=True).size()
    refused = done.books.frame().query("check == 'refused'").groupby("reason")["chain"].sum()
    kinds = {"forged", "replayed", "duplicate", "mismatched", "false-challenge"}
    assert kinds <= {*refused.index}
    for kind, count in refused.items():
        assert count == noted[kind]
    outcomes = done.books.calls().query("outcome != 'done'")
    wanted = ("Unregistered", "stale", "Duplicate", "Mismatched", "NotMember", "Uncommitted")
    for outcome in wanted:
        assert outcome in {*outcomes["outcome"]}


def test_late_commitments_come_too_late(rehearsed):
    calls = rehearsed("coordinator, late").books.calls()
    late = calls[calls["outcome"] == "Late"]
    assert len(late)
    assert {*late["call"]} == {"rule.commit"}


def test_every_account_signs_its_own_calls(rehearsed):
    calls = rehearsed("coordinator").books.calls()
    for function in ("join", "register", "commit", "reveal", "withdraw", "withdrawDeposits"):
        own = calls[(calls["call"] == f"rule.{function}") & (calls["outcome"] == "done")]
        assert len(own)
        assert {*own["account"]} == {f"device:{d}" for d in own["device"]}
    assert set(calls[calls["call"] == "rule.finalise"]["account"]) == {"organisation"}


def test_two_replays_end_in_the_same_state(played, rehearsed):
    first, second = rehearsed("coordinator"), rehearse(reading(played("coordinator")))
    assert first.head == second.head
    assert first.books.calls().equals(second.books.calls())
    assert first.books.roots == second.books.roots


# --- differences are found ------------------------------------------------------------------------


def test_a_unit_too_much_in_the_journal_is_named(played):
    run = reading(played("coordinator"))
    journal = run.journal.copy()
    rewards = journal.index[journal["reason"] == "reward.worker"]
    at = rewards[len(rewards) // 2]
    journal.loc[at, "amount"] += 1
    done = rehearse(dataclasses.replace(run, journal=journal))
    assert not done.books.agrees
    r, account = int(journal.loc[at, "round"]), journal.loc[at, "credit"]
    moved = [d for d in done.books.differences if d.check == "moved"]
    assert [(d.round, d.account, d.reason, d.difference) for d in moved] == [
        (r, account, "reward.worker", -1)
    ]
    assert moved[0].call.startswith("call ")
    assert "rule.withdraw by " + account in moved[0].call
    held = [d for d in done.books.differences if d.check == "balance"]
    assert {d.account for d in held} == {account}
    assert {d.round for d in held} == set(range(r, int(journal["round"].max()) + 1))


def test_another_vote_gives_other_money(played):
    """The contract computes from what was done: a changed act changes what is paid."""
    run = reading(played("coordinator"))
    participants = run.tables["participants"]
    rejected = participants[participants["conduct"] == "rejected"].iloc[0]
    votes = run.tables["votes"].copy()
    same = (votes["round"] == rejected["round"]) & (votes["worker"] == rejected["device"])
    assert same.any()
    votes.loc[same, "vote"] = True
    changed = dataclasses.replace(run, tables={**run.tables, "votes": votes})
    done = rehearse(changed)
    first = done.books.differences[0]
    assert first.round == rejected["round"]
    worker = f"device:{rejected['device']}"
    found = {(d.account, d.reason) for d in done.books.differences if d.round == first.round}
    assert (worker, "reward.worker") in found
    assert ("escrow:coordinator-stakes", "slash") in found


def test_a_missing_commitment_costs_its_reveal(played):
    run = reading(played("coordinator"))
    participants = run.tables["participants"].copy()
    at = participants.index[participants["opening"].notna()][0]
    participants.loc[at, "commitment"] = None
    done = rehearse(dataclasses.replace(run, tables={**run.tables, "participants": participants}))
    assert not done.books.agrees


def test_a_journal_that_goes_on_is_not_overlooked(played):
    run = reading(played("stake-weighted"))
    extra = run.journal.tail(1).assign(round=99, debit="issuance", credit="device:0")
    journal = pd.concat([run.journal, extra], ignore_index=True)
    done = rehearse(dataclasses.replace(run, journal=journal))
    assert [d.check for d in done.books.differences if d.round == 99] == ["played"]


# --- what cannot be played ------------------------------------------------------------------------


def test_a_rule_without_a_contract_lists_those_that_have_one(recorded, evm_programs):
    run = reading(recorded(rounds=1))
    with pytest.raises(PlanError) as error:
        adapter_of(run)
    message = str(error.value)
    assert "no contract plays 'vbfl' under protocol 'vbfl'" in message
    assert '"coordinator"' in message
    assert '"equal-share"' in message
    assert "\n" not in message


def test_what_is_in_no_table_is_asked_for(recorded, evm_programs):
    market = recorded(**{**MARKET, "record__features": False})
    with pytest.raises(PlanError, match=r"record\.features = true"):
        adapter_of(reading(market))
    pool = {"mechanism": "decentralml", "params": {"improve_only": True}}
    with pytest.raises(PlanError, match="improve_only = false"):
        adapter_of(reading(recorded(preset="fedavg", rounds=1, payout=pool)))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("slash", 7.0, "payout.params.slash = 7.0: must be 0 to 1"),
        ("stake", "all", "payout.params.stake = 'all'"),
        ("stake", -1, "payout.params.stake = -1: must be base units"),
        ("by", 3, "payout.params.by = 3"),
    ],
)
def test_a_wrong_scenario_is_told(played, key, value, words):
    run = reading(played("coordinator"))
    payout = run.settings["payout"]
    payout = payout | {"params": payout["params"] | {key: value}}
    changed = dataclasses.replace(run, settings=run.settings | {"payout": payout})
    with pytest.raises(PlanError) as error:
        rehearse(changed)
    assert words in str(error.value)
    assert "scenario.toml" in str(error.value)


@pytest.mark.parametrize(("column", "text"), [("commitment", "zz"), ("opening", "00" * 63)])
def test_a_wrong_table_is_told(played, column, text):
    run = reading(played("coordinator"))
    table = run.tables["participants"].copy()
    table[column] = text
    with pytest.raises(PlanError, match=f"participants.parquet: column {column}"):
        rehearse(dataclasses.replace(run, tables={**run.tables, "participants": table}))


@pytest.mark.parametrize(
    ("name", "table", "column", "value"),
    [
        ("coordinator", "participants", "device", 2**62),
        pytest.param("coordinator", "participants", "device", -3, marks=pytest.mark.soak),
        pytest.param("coordinator", "participants", "height", None, marks=pytest.mark.soak),
        ("coordinator", "votes", "worker", 99),
        ("market, sparse", "features", "sample", 10**6),
        pytest.param("market, sparse", "submissions", "label", 300, marks=pytest.mark.soak),
        pytest.param("market, sparse", "submissions", "device", 1, marks=pytest.mark.soak),
        pytest.param("market, sparse", "claims", "datum", 10**6, marks=pytest.mark.soak),
        ("market, sparse", "weights", "weight", 2**62),
        ("market, sparse", "rounds", "round", 7),
    ],
)
def test_tables_that_do_not_fit_end_in_one_line(played, name, table, column, value):
    """Files come from somebody else: they end in a finding or in an error of one line."""
    run = reading(played(name))
    changed = run.tables[table].assign(**{column: value})
    tampered = dataclasses.replace(run, tables={**run.tables, table: changed})
    assert "\n" not in ending(tampered)


def ending(run):
    """Return the error or the finding in which a replay ends; it must not end well."""
    try:
        done = rehearse(run)
    except FedstakeError as error:
        return str(error)
    assert not done.books.agrees
    return done.books.verdict


# --- kills and keys -------------------------------------------------------------------------------


def command(folder, out, *options):
    words = ["replay", str(folder), "--chain", "evm", "--out", str(out), *options]
    return [sys.executable, "-m", "experiments.cli", *words]


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_killed_replays_begin_from_nothing(played, rehearsed, tmp_path, kills):
    """Each is killed at a random moment; nothing of it is left, and the next one is whole."""
    folder, out = played("coordinator"), tmp_path / "out"
    draw = random.Random(kills)
    expected = rehearsed("coordinator")
    for _ in range(kills):
        process = subprocess.Popen(
            command(folder, out), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        # Not before its chain is there.
        for line in process.stderr:
            if line.startswith(b"replay: 1/"):
                break
        time.sleep(draw.uniform(0, 1))
        nodes = psutil.Process(process.pid).children() if process.poll() is None else []
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        _, alive = psutil.wait_procs(nodes, timeout=PATIENCE_S)
        assert alive == []
        assert not list(out.parent.glob(".replay.partial-*"))
    done = subprocess.run(
        command(folder, out), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads((out / "verdict.json").read_text())
    assert verdict["reconciled"]
    assert verdict["chain"]["state_root"] == expected.head.state_root


def test_no_key_is_written_anywhere(played, tmp_path):
    folder, out = played("coordinator"), tmp_path / "out"
    done = subprocess.run(
        command(folder, out, "--debug"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    run = reading(folder)
    names = pd.read_parquet(out / "calls.parquet")["account"].unique()
    assert len(names) > 14
    secrets = [Account(run.identity, name)._key.secret for name in names]
    text = done.stdout + done.stderr + (out / "verdict.json").read_text()
    for path in out.glob("*.parquet"):
        text += pd.read_parquet(path).to_csv()
        assert not any(secret in path.read_bytes() for secret in secrets)
    for secret in secrets:
        assert secret.hex() not in text.lower()
        assert str(int.from_bytes(secret, "big")) not in text


# --- the command ----------------------------------------------------------------------------------


def cli(*words):
    from typer.testing import CliRunner

    from experiments.cli import app

    return CliRunner().invoke(app, ["replay", *map(str, words)])


def test_the_command_shows_books_and_gas(played, tmp_path):
    folder, out = played("stake-weighted"), tmp_path / "out"
    plan = cli(folder, "--chain", "evm", "--dry-run", "--out", out)
    assert plan.exit_code == 0, plan.output
    assert "nothing was compared" in plan.output
    planned = pd.read_csv(out / "plan.csv", keep_default_na=False)
    done = cli(folder, "--chain", "evm", "--out", out)
    assert done.exit_code == 0, done.output
    assert "\nreconciled: " in done.output
    for words in ("rule.withdraw", "mean gas", "state root 0x", "recorded balance"):
        assert words in done.output
    verdict = json.loads((out / "verdict.json").read_text())
    calls, gas, rounds = (pd.read_parquet(out / f"{n}.parquet") for n in ("calls", "gas", "rounds"))
    assert len(planned) == len(calls) == verdict["calls"] == rounds["calls"].sum()
    assert gas["gas"].sum() == rounds["gas"].sum() == calls["gas"].sum() == verdict["gas"] > 0
    assert rounds["state_root"].iloc[-1] == verdict["chain"]["state_root"]
    assert (calls["gas"] >= 21_000).all()


def test_a_difference_is_a_failure(played, tmp_path, monkeypatch):
    honest = Coordinated.terms

    def generous(self, stage):
        terms = list(honest(self, stage)[0])
        terms[3] += 1_000  # the pot
        return (tuple(terms),)

    monkeypatch.setattr(Coordinated, "terms", generous)
    done = cli(played("coordinator"), "--chain", "evm", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "NOT reconciled" in done.output
    assert "reward" in done.output or "moved" in done.output
    assert not json.loads((tmp_path / "out" / "verdict.json").read_text())["reconciled"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--chain", "solana"), "--chain solana: must be substrate or evm"),
        (("--chain", "evm", "--scale", 2), "--scale 2: only with --chain substrate"),
        (("--chain", "evm", "--endpoint", "ws://127.0.0.1:1"), "must begin with http://"),
        (("--chain", "evm", "--endpoint", "http://127.0.0.1:1"), "does not answer"),
    ],
)
def test_options_that_cannot_be(played, words, message):
    done = cli(played("stake-weighted"), *words)
    assert done.exit_code in (1, 2)
    assert message in done.output
    assert "Traceback" not in done.output


def test_gas_is_what_the_chain_charged(rehearsed):
    done = rehearsed("coordinator")
    table = gas_by_call(done.books).set_index("call")
    assert table.loc["rule.finalise", "most"] > table.loc["rule.finalise", "least"] > 21_000
    assert done.books.created["Coordinator"] > 3_000_000


@pytest.mark.parametrize("missing", ["coincurve", "eth_abi"])
def test_what_is_not_installed_is_asked_for(played, monkeypatch, missing):
    folder = played("stake-weighted")
    for module in [name for name in sys.modules if name.startswith("chain_bridge.evm")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    done = cli(folder, "--chain", "evm")
    assert done.exit_code == 2
    assert f"needs the package {missing}: pip install 'fedstake[evm]'" in done.output
