"""What a round costs on the chain under every payout rule: `python docs/fees_by_mechanism.py`.

Writes `docs/reference/fees-by-mechanism.md` and its numbers beside the other reference results.
Every rule plays three rounds of 20 devices on digits, 3 of which send noise; each run is replayed
on the bundled dev chain and reconciled, or nothing is written.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from mechanisms_by_attacks import mechanisms, scenario

from chain_bridge import Options, replay_run
from chain_bridge.client import Chain
from chain_bridge.devchain import server
from chain_bridge.keys import OPERATOR, signer
from chain_bridge.pricing import query
from chain_bridge.script import Script
from chain_bridge.witness import Witnessed
from fedstake import run
from mechanisms import registries as rules

HERE = Path(__file__).parent
PAGE = HERE / "reference" / "fees-by-mechanism.md"
NUMBERS = HERE.parent / "results" / "reference" / "fees-by-mechanism.csv"
ROUNDS = 3
MICRO = 1_000_000  # native units of twelve decimals in a millionth of the token

ACTS = {
    "pay a reward (`Assets.mint`)": "mint",
    "move money: stake, share, refund (`Assets.force_transfer`)": "transfer",
    "burn: slash, fee (`Assets.burn`)": "burn",
    "commit, reveal, or note a digest (`System.remark_with_event`)": "note",
    "propose an approval (`Multisig.approve_as_multi`)": "propose",
    "approve (`Multisig.approve_as_multi`, `as_multi`)": "approve",
    "release a model version (`Uniques.mint`)": "version",
    "seal its hashes (`Uniques.set_metadata`)": "metadata",
}


def play(mechanism: str, folder: Path, **changes: Any) -> Path:
    """Record a run of three rounds; rules with a deadline have it in the last of them."""
    asked = scenario(mechanism, "gaussian-noise", 0)
    values = asked.model_dump(mode="json", exclude_none=True) | {"rounds": ROUNDS} | changes
    if any(
        f.name == "deadline"
        for f in dataclasses.fields(rules.payouts.get(asked.payout.mechanism).Params)
    ):
        values["payout"]["params"]["deadline"] = ROUNDS
    return run(type(asked).model_validate(values), folder).path


def measure(mechanism: str, done: Witnessed) -> dict[str, Any]:
    """Return the row of a mechanism: fees in millionths of the token, per round of play."""
    assert done.books.agrees, f"{mechanism}: {done.books.verdict}"
    fees = done.books.fees.frame()
    playing = fees[fees["round"].between(1, ROUNDS)]

    def share(part: pd.DataFrame) -> float:
        return part["fee"].sum() / ROUNDS / MICRO

    rounds = done.books.fees.by_round().set_index("round").loc[1:ROUNDS]
    noted = {a.reason for a in done.script.actions if a.kind == "note"}
    notes, approvals = playing["reason"].isin(noted), playing["reason"] == "approval"
    base = playing["reason"] == "batch"
    return {
        "mechanism": mechanism,
        "calls": playing["calls"].sum() / ROUNDS,
        "fee": share(playing),
        "money": share(playing[~notes & ~approvals & ~base]),
        "notes": share(playing[notes]),
        "approvals": share(playing[approvals]),
        "batches": share(playing[base]),
        "per device": share(playing) / 20,
        "opening": fees.loc[fees["round"] == 0, "fee"].sum() / MICRO,
        "closing": fees.loc[fees["round"] > ROUNDS, "fee"].sum() / MICRO,
        "honest utility": rounds["honest_utility"].mean(),
        "adversary utility": rounds["adversary_utility"].mean(),
    }


def acts(script: Script, url: str) -> list[tuple[str, int, int]]:
    """Return (act, fee in a batch, fee alone), in native units."""
    key, rows = signer(OPERATOR), []
    with Chain(url) as chain:
        for words, kind in ACTS.items():
            if kind in script.prices:
                action = next(a for a in script.actions if a.kind == kind)
                call = script.call(action, (1, 2) if kind == "approve" else None)
                rows.append(
                    (words, script.prices[kind].fee, query(chain, script.runtime, call, key).fee)
                )
    return rows


def page(table: pd.DataFrame, prices: list[tuple[str, int, int]]) -> str:
    columns = [c for c in table.columns if c != "mechanism"]
    lines = [
        "# Fees of a round, mechanism by mechanism",
        "",
        f"What a round of 20 devices costs on the dev chain, measured: {ROUNDS} rounds under every "
        "payout rule, 3 devices",
        "of which send noise, replayed in custody `operator` and reconciled to the unit "
        "([how](../how-to/replay-on-your-node.md)). Fees are balance",
        "differences of the operator in millionths of the native token (12 decimals); "
        "a batch's fee is divided among its calls in",
        "proportion to the chain's own prices. `opening` (stakes, funding) and `closing` "
        "(stakes back) happen once. Utilities",
        "are base units per device and round, as the run recorded them. "
        "Made by `python docs/fees_by_mechanism.py`.",
        "",
        "| mechanism | " + " | ".join(columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for row in table.to_dict("records"):
        cells = [
            f"{row[c]:,.0f}" if abs(row[c]) >= 100 or c == "calls" else f"{row[c]:,.1f}"
            for c in columns
        ]
        lines.append(f"| `{row['mechanism']}` | " + " | ".join(cells) + " |")
    lines += [
        "",
        "The guide that the coordinator comes from puts a round of custom contracts at 50 to 200 "
        "USD, of a governor at 100",
        "to 500, of a multisig with modules at 20 to 80; these are the same acts on a Substrate "
        "runtime, in its own token.",
        "",
        "## Fees by act",
        "",
        "In a batch of the bridge, and as a transaction of its own, as a participant who signs "
        "for itself would pay.",
        "",
        "| act | in a batch | alone | batching saves |",
        "|---|---:|---:|---:|",
        *(f"| {w} | {a / MICRO:,.2f} | {b / MICRO:,.2f} | {1 - a / b:.0%} |" for w, a, b in prices),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as place, server.start() as own:
        options = Options(endpoint=own.url, custody="operator")
        for number, mechanism in enumerate(mechanisms()):
            done = replay_run(
                play(mechanism, Path(place) / f"{number}"),
                options,
                out=Path(place) / f"{number}-replay",
            )
            rows.append(measure(mechanism, done))
            print(f"{mechanism}: {rows[-1]['fee']:.0f}", flush=True)
        everything = play("coordinator", Path(place) / "all", versions={"record": True})
        prices = acts(
            replay_run(everything, options, out=Path(place) / "all-replay").script, own.url
        )
    table = pd.DataFrame(rows)
    NUMBERS.write_text(table.to_csv(index=False, float_format="%.3f"))
    PAGE.write_text(page(table, prices))


if __name__ == "__main__":
    main()
