"""`fedstake replay` as a user meets it."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from chain_bridge import Options, PlanError
from chain_bridge.devchain import install
from experiments.cli import app
from tests.chain_bridge.conftest import COORDINATOR


def replay(*words):
    return CliRunner().invoke(app, ["replay", *map(str, words)])


@pytest.fixture(scope="module")
def folder(recorded):
    return recorded(**COORDINATOR, rounds=2)


def test_a_dry_run_signs_nothing(folder, devchain, tmp_path):
    from chain_bridge.client import Chain

    with Chain(devchain.url) as chain:
        before = chain.head()
        done = replay(folder, "--endpoint", devchain.url, "--dry-run", "--out", tmp_path / "out")
        assert done.exit_code == 0, done.output
        assert chain.head() == before
    assert "nothing was sent" in done.output
    plan = pd.read_csv(tmp_path / "out" / "plan.csv")
    assert f"{len(plan):,} calls" in done.output
    assert set(plan["call"]) >= {"mint", "transfer", "burn", "note", "propose", "approve"}
    assert plan["batch"].is_monotonic_increasing


def test_replays_where_a_dry_run_was(folder, devchain, tmp_path):
    assert replay(folder, "--endpoint", devchain.url, "--dry-run", "--out", tmp_path).exit_code == 0
    done = replay(folder, "--endpoint", devchain.url, "--out", tmp_path, "--scale", 2)
    assert done.exit_code == 0, done.output
    assert (
        done.output.splitlines()[-1].startswith("reconciled: ") or "\nreconciled: " in done.output
    )
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    books = pd.read_parquet(tmp_path / "reconciliation.parquet")
    assert verdict["reconciled"]
    assert verdict["comparisons"] == len(books)
    assert (books["difference"] == 0).all()
    fees, rounds = (pd.read_parquet(tmp_path / f"{n}.parquet") for n in ("fees", "rounds"))
    assert fees["fee"].sum() == rounds["fee"].sum() == verdict["fees"] > 0
    batches = pd.read_parquet(tmp_path / "batches.parquet")
    assert len(batches) == verdict["batches"]
    assert batches["block"].is_monotonic_increasing
    again = replay(folder, "--endpoint", devchain.url, "--out", tmp_path, "--scale", 2)
    assert f"0 of {verdict['batches']} batches sent" in again.output
    assert f"{verdict['batches']} were there before" in again.output


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--token", "gold"], 2, "--token gold: must be asset, native or auto"),
        (
            ["--endpoint", "http://127.0.0.1:1"],
            2,
            "--endpoint http://127.0.0.1:1: must begin with ws:// or wss://",
        ),
        (["--endpoint", "ws://127.0.0.1:1"], 1, "no chain answers at ws://127.0.0.1:1"),
        (
            ["--key-file", "/nowhere/key"],
            2,
            "--key-file /nowhere/key: the bundled dev chain has its own key",
        ),
        (["--endpoint", "a dev chain", "--scale", str(2**127)], 2, "--scale"),
        (["--genesis", "hello"], 2, "--genesis hello: must be 0x and 64 hexadecimal digits"),
    ],
)
def test_bad_input_costs_one_line(folder, devchain, words, code, message):
    done = replay(folder, *[devchain.url if word == "a dev chain" else word for word in words])
    assert (done.exit_code, done.output.count("\n")) == (code, 1), done.output
    assert message in done.output


def test_no_run(tmp_path):
    done = replay(tmp_path)
    assert done.exit_code == 2
    assert "no manifest.json: not a complete run directory" in done.output


def test_a_folder_of_something_else(folder, tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    done = replay(folder, "--out", tmp_path)
    assert done.exit_code == 2
    assert "holds something else than a replay (letters.txt)" in done.output
    assert (tmp_path / "letters.txt").read_text() == "mine"


def test_a_difference_is_a_failure(recorded, devchain, tmp_path, monkeypatch):
    """One unit less in the books of the chain: the command says so and fails."""
    from chain_bridge.money import AssetMoney

    read = AssetMoney.balances
    monkeypatch.setattr(
        AssetMoney, "balances", lambda *a: [b - (i == 3) for i, b in enumerate(read(*a))]
    )
    done = replay(
        recorded(rounds=1), "--endpoint", devchain.url, "--out", tmp_path / "out", "--scale", 3
    )
    assert done.exit_code == 1
    assert "NOT reconciled" in done.output
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert not verdict["reconciled"]
    assert {d["difference"] for d in verdict["differences"]} == {-1}


def test_keys_are_never_shown(folder, otherwise, monkeypatch):
    monkeypatch.setenv("FEDSTAKE_KEY", "0x" + "37" * 31 + "zz")
    done = replay(folder, "--endpoint", otherwise.url, "--debug")
    assert done.exit_code == 2
    assert "FEDSTAKE_KEY: the key is unreadable" in done.output
    assert "3737" not in done.output


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 0},
        {"scale": 1.5},
        {"token": "gold"},
        {"batch": 0},
        {"asset": 2**32},
        {"genesis": "0x1"},
    ],
)
def test_options_are_checked_in_python_too(wrong):
    (name,) = wrong
    with pytest.raises(PlanError, match=f"--{name} {wrong[name]}: must be"):
        Options(**wrong)


def test_programs_that_cannot_be_installed(folder, tmp_path, monkeypatch):
    from chain_bridge.devchain.node import Node

    monkeypatch.setenv(install.FOLDER, str(tmp_path))
    monkeypatch.setattr(install, "find_node", lambda: Node("node", ("false",), "v22.0.0"))
    done = replay(folder)
    assert done.exit_code == 1
    assert "npm could not install the dev chain: exit status 1" in done.output
