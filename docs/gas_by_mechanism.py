"""What a round costs in gas under every rule with a contract: `python docs/gas_by_mechanism.py`.

Writes `docs/reference/gas-by-mechanism.md` and its numbers beside the other reference results.
Every rule plays three rounds of 20 devices on digits, 3 of which send noise; each run is played on
its contract and reconciled, or nothing is written.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chain_bridge.evm import node
from chain_bridge.evm.adapters import tables
from chain_bridge.evm.contracts import ARTIFACTS
from chain_bridge.evm.witness import Played, rehearse
from chain_bridge.recording import read
from fedstake import load_scenario, run

HERE = Path(__file__).parent
PAGE = HERE / "reference" / "gas-by-mechanism.md"
RESULTS = HERE.parent / "results" / "reference"
NUMBERS = RESULTS / "gas-by-mechanism.csv"
ROUNDS, DEVICES = 3, 20
NOISE = [{"name": "noise", "count": 3, "worker": "gaussian-noise"}]
TRAINED = {"rounds": ROUNDS, "devices": DEVICES, "adversaries": NOISE}
SERVED = TRAINED | {"payout.initial_balance": 50_000}
SOLD = {
    "rounds": ROUNDS,
    "devices": DEVICES,
    "market.model": "perceptron",
    "record.trace": True,
    "record.features": True,
    "data": {
        "dataset": "imdb-like",
        "params": {"train": 400, "test": 60, "features": 100, "words": 20.0},
        "initial": 20,
    },
}
PLAYED: dict[str, tuple[str, dict[str, Any]]] = {
    "coordinator": ("coordinator", TRAINED),
    "equal-share": (
        "fedavg",
        SERVED
        | {"payout.mechanism": "equal-share", "payout.params": {"stake": 100, "deadline": ROUNDS}},
    ),
    "equal-share + claims + platform": (
        "poc",
        TRAINED | {"payout.params": {"pool": 10**6, "stake": 10_000, "deadline": ROUNDS}},
    ),
    "decentralml": (
        "fedavg",
        SERVED
        | {
            "data.validation_fraction": 0.2,
            "payout.mechanism": "decentralml",
            "payout.params": {"improve_only": False},
        },
    ),
    "stake-weighted": ("fedavg", SERVED | {"payout.mechanism": "stake-weighted"}),
    "market: deposit-refund-take": ("sum-digits", SOLD),
    "market: points": ("sum-digits", SOLD | {"market.rule": "points"}),
}
"""By name on the page: a preset, and its keys."""
ON_SUBSTRATE = {"coordinator", "equal-share", "decentralml", "stake-weighted"}
"""Rows of the fee table for Substrate that are the same rule."""

ETHER_USD = 3_000.0
PRICES = {"0.01 gwei (a layer 2)": 0.01, "1 gwei": 1.0, "10 gwei": 10.0, "30 gwei": 30.0}
"""Prices of gas that the page assumes, in 10^-9 ether."""

LAW = (31_913.0, 542_045.0, 477_050.0)
"""Published for BlockFLow: gas(N, R) = a N + b R + c N R."""
SIZES = (6, 10, 14, 20, 30)
LENGTHS = (1, 2, 4)
SMALL = {
    "data.dataset": "synthetic",
    "data.params": {"train": 300, "test": 60, "features": 6, "classes": 3},
    "data.partition": "iid",
    "model.name": "softmax",
    "training.epochs": 1,
    "adversaries": [],
    "coordinator.params": {"size": 3, "error": 0.0},
}


def play(preset: str, keys: dict[str, Any], folder: Path) -> Played:
    """Record a run and play it on its contract; AssertionError unless the books agree."""
    path = run(load_scenario(preset, keys), folder).path
    done = rehearse(read(path, tables()))
    assert done.books.agrees, done.books.verdict
    return done


def measure(name: str, done: Played) -> dict[str, Any]:
    """Return the row of a rule: gas per round of play, without what must be refused."""
    calls = done.books.calls()
    calls = calls[calls["outcome"] == "done"]
    playing = calls[calls["round"].between(1, ROUNDS)]
    devices = playing[playing["device"] >= 0]
    return {
        "mechanism": name,
        "contract": done.contract,
        "calls": len(playing) / ROUNDS,
        "gas": playing["gas"].sum() / ROUNDS,
        "per device": devices["gas"].sum() / ROUNDS / DEVICES,
        "organisation": playing[playing["device"] < 0]["gas"].sum() / ROUNDS,
        "dearest call": playing["gas"].max(),
        "creation": sum(done.books.created.values()),
        "opening": calls[calls["round"] == 0]["gas"].sum(),
        "closing": calls[calls["round"] > ROUNDS]["gas"].sum(),
    }


def functions(name: str, done: Played) -> list[tuple[str, str, int, int, int, int]]:
    """Return (mechanism, function, calls, least, mean, most gas) of the calls of a rule."""
    calls = done.books.calls()
    rule = calls[(calls["outcome"] == "done") & calls["call"].str.startswith("rule.")]
    found = []
    for function, part in rule.groupby("call"):
        gas = part["gas"]
        text = str(function).removeprefix("rule.")
        found.append((name, text, len(part), gas.min(), round(gas.mean()), gas.max()))
    return found


def fitted(place: Path) -> tuple[tuple[float, float, float], float]:
    """Return a, b, c of gas(N, R) = a N + b R + c N R for the coordinator, and the worst error.

    Least squares over `SIZES` and `LENGTHS`, all devices honest; creation is not counted.
    """
    rows, totals = [], []
    for devices in SIZES:
        for rounds in LENGTHS:
            keys = SMALL | {"devices": devices, "rounds": rounds}
            done = play("coordinator", keys, place / f"law-{devices}-{rounds}")
            calls = done.books.calls()
            totals.append(float(calls[calls["outcome"] == "done"]["gas"].sum()))
            rows.append((devices, rounds, devices * rounds))
    design, gas = np.array(rows, dtype=float), np.array(totals)
    found, *_ = np.linalg.lstsq(design, gas, rcond=None)
    worst = float(np.abs(design @ found / gas - 1).max())
    a, b, c = (float(value) for value in found)
    return (a, b, c), worst


def dollars(gas: float, gwei: float) -> str:
    value = gas * gwei * 1e-9 * ETHER_USD
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def page(
    table: pd.DataFrame,
    calls: list[tuple[str, str, int, int, int, int]],
    law: tuple[tuple[float, float, float], float],
) -> str:
    lines = [
        "# Gas of a round, mechanism by mechanism",
        "",
        f"What a round of {DEVICES} devices costs in gas, measured: {ROUNDS} rounds under every "
        "rule that has a contract, 3 devices of",
        "which send noise, played on the contract and reconciled to the unit "
        "([how](../how-to/replay-on-an-evm.md)). Calls that were",
        f"refused are not counted. Node {node.VERSION}, hardfork {node.HARDFORK}. Made by "
        "`python docs/gas_by_mechanism.py`.",
        "",
        "`per device` is what a participant pays for its own calls in a round, `organisation` what "
        "the organisation pays, `opening`",
        "everything before the first round without the creation of the contracts, `closing` what "
        "comes after the last. A round of a",
        "market is a day in which data are added and claimed. The last column is the fee of the "
        "same rule on Substrate, where one",
        "operator books for all ([fees](fees-by-mechanism.md)), in millionths of its token.",
        "",
    ]
    columns = [c for c in table.columns if c not in ("mechanism", "contract")]
    lines.append("| mechanism | contract | " + " | ".join(columns) + " |")
    lines.append("|---|---|" + "---:|" * len(columns))
    for row in table.to_dict("records"):
        cells = ["" if pd.isna(row[c]) else f"{row[c]:,.0f}" for c in columns]
        lines.append(f"| {row['mechanism']} | `{row['contract']}` | " + " | ".join(cells) + " |")
    lines += [*_prices(table), *_law(*law), *_functions(calls), *_contracts()]
    return "\n".join(lines) + "\n"


def _prices(table: pd.DataFrame) -> list[str]:
    lines = [
        "",
        "## In dollars, beside the guide's table",
        "",
        "The guide that the coordinator comes from puts a round of custom Solidity at 50 to 200 "
        "USD, of a governor at 100 to 500, of",
        "a multisig with modules at 20 to 80. These are the measured rounds of custom Solidity at "
        f"assumed prices: {ETHER_USD:,.0f} USD for an",
        "ether, and gas at",
        "",
        "| mechanism | " + " | ".join(PRICES) + " |",
        "|---|" + "---:|" * len(PRICES),
    ]
    for row in table.to_dict("records"):
        cells = [dollars(row["gas"], gwei) for gwei in PRICES.values()]
        lines.append(f"| {row['mechanism']} | " + " | ".join(cells) + " |")
    gas = float(table.loc[table["mechanism"] == "coordinator", "gas"].iloc[0])
    low, high = (usd / (gas * 1e-9 * ETHER_USD) for usd in (50, 200))
    lines += [
        "",
        f"The guide's 50 to 200 USD are a coordinated round at {low:,.1f} to {high:,.1f} gwei.",
    ]
    return lines


def _law(found: tuple[float, float, float], worst: float) -> list[str]:
    def words(law: tuple[float, float, float]) -> str:
        a, b, c = law
        return f"{a:,.0f} N {'-' if b < 0 else '+'} {abs(b):,.0f} R + {c:,.0f} N R"

    ratio = found[2] / LAW[2]
    return [
        "",
        "## How gas grows",
        "",
        "The law that BlockFLow's authors publish for N agents and R rounds of their contract "
        "(bond, commit, reveal, score, refund) is",
        f"gas(N, R) = {words(LAW)}. The coordinator here, N from {SIZES[0]} to {SIZES[-1]} honest "
        f"devices, R from {LENGTHS[0]} to {LENGTHS[-1]} rounds,",
        "a committee of 3, fitted by least squares (creation of the contracts not counted):",
        "",
        f"    gas(N, R) = {words(found)}",
        "",
        f"The fit is off by at most {worst:.1%}. A further participant's round costs {ratio:.2f} "
        "of the published law's: there every agent",
        "scores every other, here a committee votes with one bit for each update. The term in N "
        "alone is joining and leaving; that in R",
        "alone can be below 0, because N counts the committee and the aggregator, which do not "
        "train.",
    ]


def _functions(calls: list[tuple[str, str, int, int, int, int]]) -> list[str]:
    lines = [
        "",
        "## Gas by call",
        "",
        "| mechanism | call | calls | least | mean | most |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, function, count, least, mean, most in calls:
        numbers = " | ".join(f"{n:,}" for n in (count, least, mean, most))
        lines.append(f"| {name} | `{function}` | {numbers} |")
    return lines


def _contracts() -> list[str]:
    found = [json.loads(path.read_text()) for path in sorted(ARTIFACTS.glob("*.json"))]
    settings = found[0]["settings"]
    optimizer = settings["optimizer"]
    return [
        "",
        "## The contracts",
        "",
        f"Compiled by solc {found[0]['compiler']} for {settings['evmVersion']}, optimizer with "
        f"{optimizer['runs']} runs, no metadata in the bytecode, so",
        "that it depends on the sources alone; a test compiles them again and compares every byte. "
        "The limit of a contract is 24,576 bytes.",
        "",
        "| contract | bytes |",
        "|---|---:|",
        *(f"| `{artifact['contract']}` | {artifact['bytes']:,} |" for artifact in found),
    ]


def main() -> None:
    rows, calls = [], []
    with tempfile.TemporaryDirectory() as place:
        for number, (name, (preset, keys)) in enumerate(PLAYED.items()):
            done = play(preset, keys, Path(place) / f"{number}")
            rows.append(measure(name, done))
            calls += functions(name, done)
            print(f"{name}: {rows[-1]['gas']:,.0f}", flush=True)
        law = fitted(Path(place))
    table = pd.DataFrame(rows)
    fees = pd.read_csv(RESULTS / "fees-by-mechanism.csv").set_index("mechanism")["fee"]
    same = table["mechanism"].where(table["mechanism"].isin(ON_SUBSTRATE))
    table["Substrate fee"] = same.map(fees)
    NUMBERS.write_text(table.to_csv(index=False, float_format="%.3f"))
    PAGE.write_text(page(table, calls, law))


if __name__ == "__main__":
    main()
