"""`fedstake replay --chain evm`: what it prints and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from experiments.console import out_console
from experiments.numerals import duration
from experiments.progress import progress
from experiments.terminal import EXIT_FAILED, show

if TYPE_CHECKING:
    import pandas as pd

    from chain_bridge.comparison import Comparison
    from chain_bridge.evm.witness import EvmOptions, Played

COMPARED = {
    "calls": "calls of a round, with what should become of them",
    "call": "calls that something else became of, one by one",
    "refused": "refusals of a kind in a round, with table incidents",
    "moved": "change of an account in a round, by reason",
    "balance": "account after a round, with the journal",
    "recorded balance": "account after a round, with table participants",
    "supply": "supply of the token, with issued less burned",
    "backing": "tokens of the contract, with its escrow accounts",
    "standing": "what the rule counts of an account, with table participants",
    "played": "rounds of the journal that were not played",
}
"""What each check compares, in words."""
NEEDED = ("coincurve", "eth_abi")
"""Modules that the extra `evm` installs."""
ONLY_SUBSTRATE = {
    "--token": "auto",
    "--asset": 1,
    "--scale": 1,
    "--batch": None,
    "--genesis": None,
    "--key-file": None,
    "--custody": "auto",
}
"""Options that mean nothing on an EVM, with what they are when nobody gives them."""


def options_of(endpoint: str | None, timeout_s: float, *, allow_endpoint: bool) -> EvmOptions:
    """Return the options of a replay on an EVM; `PlanError` where its packages are missing."""
    from chain_bridge import PlanError

    try:
        from chain_bridge.evm.witness import EvmOptions
    except ImportError as error:
        if error.name not in NEEDED:
            raise
        raise PlanError(
            f"--chain evm: needs the package {error.name}: pip install 'fedstake[evm]'"
        ) from None
    return EvmOptions(endpoint, allow_endpoint, timeout_s)


def check_substrate_options(given: Sequence[Any]) -> None:
    """Refuse options that mean nothing on an EVM."""
    from chain_bridge import PlanError

    for (name, default), value in zip(ONLY_SUBSTRATE.items(), given, strict=True):
        if value != default:
            raise PlanError(f"{name} {value}: only with --chain substrate")


def replay_on_evm(run_dir: Path, options: EvmOptions, folder: Path, *, dry_run: bool) -> None:
    """Play a run on its contract, or show its calls; exit with a failure when the books differ."""
    from chain_bridge.evm.witness import play_run

    if dry_run:
        _show_calls(run_dir, options, folder)
        return
    with progress("replay", 1) as report_done:
        done = play_run(run_dir, options, out=folder, on_round=report_done.of)
    show_played(done)
    if not done.books.agrees:
        raise typer.Exit(EXIT_FAILED)


def _show_calls(run_dir: Path, options: EvmOptions, folder: Path) -> None:
    """Print how often each function is called and its gas; write all calls to a CSV file.

    The calls are made on a chain of their own that is thrown away.
    """
    from chain_bridge.evm.adapters import tables
    from chain_bridge.evm.witness import rehearse
    from chain_bridge.recording import read
    from experiments.rundir import write_file
    from experiments.spreadsheet import csv_text

    done = rehearse(read(run_dir, tables()), replace(options, endpoint=None))
    show(gas_table(done), _heading(done))
    calls = done.books.calls()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plan.csv"
    write_file(path, csv_text(calls))
    out_console.print(
        f"\n{len(calls):,} calls, {int(calls['gas'].sum()):,} gas, on a chain that was thrown "
        f"away; nothing was compared\nall calls: {path}",
        markup=False,
    )


def show_played(done: Played) -> None:
    """Print the books of a replay on an EVM."""
    calls = done.books.calls()
    show(checks(done.books, COMPARED), _heading(done))
    show(gas_table(done), f"\ngas: {int(calls['gas'].sum()):,} in all")
    refused = sum(s.proper and bool(s.outcome) for s in done.books.sent)
    out_console.print(
        f"\n{len(calls):,} calls by {calls['account'].nunique()} accounts in "
        f"{duration(done.wall_s)}; {refused:,} were refused, as they should be\n"
        f"head:    block {done.head.number}, state root {done.head.state_root}\n"
        f"tables:  {done.folder}\n{done.books.verdict}",
        markup=False,
    )


def _heading(done: Played) -> str:
    where = f"{done.version}, chain id {done.chain_id}"
    return f"{done.run.name} ({done.run.mechanism}) on {where}, contract {done.contract}"


def checks(books: Comparison, words: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per check: how many values were compared, how many differ."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for check, part in books.frame().groupby("check", sort=False):
        rows.append(
            {
                "check": check,
                "comparisons": f"{len(part):,}",
                "differences": int((part["difference"] != 0).sum()),
                "of what": words[str(check)],
            }
        )
    return pd.DataFrame(rows)


def gas_table(done: Played) -> pd.DataFrame:
    """Return one row per function that was called, as text."""
    from chain_bridge.evm.witness import gas_by_call

    table = gas_by_call(done.books)
    table["mean"] = table["mean"].round().astype("int64")
    for column in table.columns[1:]:
        table[column] = [f"{value:,}" for value in table[column]]
    return table.rename(columns={"least": "least gas", "mean": "mean gas", "most": "most gas"})
