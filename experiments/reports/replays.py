"""What a run's replays say, as parts of its report: verdicts, balances side by side, costs.

A replay may come from anybody. One that is damaged or wrong costs the page a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from chain_bridge.errors import BridgeError
from chain_bridge.executions import NO_VECTORS, at_the_end, executions, in_short
from chain_bridge.written import KINDS, UNDIVIDED, UTILITIES, Written, read_replay
from experiments.numerals import how_many, number, whole
from experiments.reports.page import Section
from experiments.rundir import write_file
from experiments.runresult import RunResult
from experiments.spreadsheet import csv_text

EXECUTIONS = "executions.csv"
SHOWN = 60
"""Most rows of a table on the page."""
DONE = "done"


def replay_parts(run: RunResult, target: Path) -> list[Section]:
    """Return the sections of a run's replays; none where it has none.

    Writes every balance of every round to `executions.csv`.
    """
    replays, wrong = _read(run)
    (target / EXECUTIONS).unlink(missing_ok=True)  # of an earlier report: it would be taken for new
    if not replays:
        return [Section("Replay", lines=tuple(wrong))] if wrong else []
    try:
        table = executions(run.journal, replays)
    except BridgeError as error:
        return [_verdicts(replays, [*wrong, f"{error}"], None)]
    write_file(target / EXECUTIONS, csv_text(table))
    parts = [
        _verdicts(replays, wrong, table),
        _in_short(table, replays),
        _balances(table, replays),
        _by_round(replays),
        _by_participant(run, replays),
    ]
    return [*parts, *_enforced(replays), *_skipped(replays)]


def _read(run: RunResult) -> tuple[list[Written], list[str]]:
    """Return the replays in a run's folder, and in a line each why others cannot be shown."""
    replays, wrong = [], []
    for kind in KINDS:
        folder = run.path / kind.folder
        if not folder.is_dir():
            continue
        try:
            replays.append(read_replay(folder, kind, run.run_id))
        except BridgeError as error:
            wrong.append(f"The replay on {kind.name} cannot be shown: {error}")
    return replays, wrong


# --- verdicts -------------------------------------------------------------------------------------


def _verdicts(replays: Sequence[Written], wrong: list[str], table: pd.DataFrame | None) -> Section:
    """Return what became of each replay, made again from its comparisons and the run's journal."""
    lines = [f"{replay.kind.name}: {_verdict(replay, table)}" for replay in replays]
    return Section("Replay", _where(replays), lines=(*lines, *wrong))


def _verdict(replay: Written, table: pd.DataFrame | None) -> str:
    verdict = replay.books.verdict
    if replay.value("verdict") != verdict:
        verdict = f"{verdict} (its verdict.json says something else)"
    if table is None:
        return verdict
    name = replay.kind.name.lower()
    differ = sum(bool(d) for d in table[f"{name}_difference"])
    if differ and replay.books.agrees:
        verdict = (
            f"NOT reconciled: {how_many(differ, 'balance')} differ from the journal of this run, "
            "though the replay's own journal agrees with its chain"
        )
    missing = sum(value is None for value in at_the_end(table)[name])
    if missing:
        verdict += f"; {how_many(missing, 'account')} not read at the end"
    return verdict


def _where(replays: Sequence[Written]) -> pd.DataFrame:
    """Return one row per chain: what it is, who signed, how much happened there."""
    rows = [
        {
            "chain": replay.kind.name,
            "node": replay.value("chain.name") or replay.value("chain.node"),
            "rule": _rule(replay),
            "calls": f"{replay.value('calls'):,}",
            f"{_costs(replays)} in all": f"{int(replay.costs()[replay.kind.cost].sum()):,}",
            "last block": f"{replay.value('chain.head'):,}",
            "state": replay.value("chain.head_hash") or replay.value("chain.state_root"),
        }
        for replay in replays
    ]
    return pd.DataFrame(rows)


def _rule(replay: Written) -> str:
    """Return who computes what is paid."""
    contract = replay.value("chain.contract")
    if contract:
        return f"computed by contract {contract}"
    return f"booked as it was paid, custody {replay.value('custody')}"


def _costs(replays: Sequence[Written]) -> str:
    return " or ".join(replay.kind.cost for replay in replays)


# --- balances -------------------------------------------------------------------------------------


def _in_short(table: pd.DataFrame, replays: Sequence[Written]) -> Section:
    """Return how many balances each execution was compared in, and how many differ."""
    count = len(replays) + 1
    return Section(
        "Executions of the same tape",
        _grouped(in_short(table, replays)),
        note=f"{count} executions: the journal has the integers of the simulation. "
        f"{_rounding(replays)}{NO_VECTORS}",
        legend={
            "balances": "of an account after a round, as read",
            "missing": "the chain was not read after that round",
            "largest difference": "in units of the chain",
            "supply": "all accounts at the end, base units",
        },
    )


def _rounding(replays: Sequence[Written]) -> str:
    """Return in words what a contract's rounding left to nobody; nothing where none divides."""
    for replay in replays:
        rounds = replay.tables["rounds"]
        if UNDIVIDED in rounds and len(rounds):
            total, most = int(rounds[UNDIVIDED].sum()), int(rounds[UNDIVIDED].max())
            return (
                f"Rounding: contract {replay.value('chain.contract')} divided its pots but for "
                f"{how_many(total, 'unit')} in all, at most {most:,} in a round, which nobody "
                "gets; an execution without a difference left the same. "
            )
    return ""


def _balances(table: pd.DataFrame, replays: Sequence[Written]) -> Section:
    """Return what every account holds at the end, in each execution."""
    end = at_the_end(table)
    names = [replay.kind.name.lower() for replay in replays]
    differences = table[[f"{name}_difference" for name in names]]
    # A balance that was not read differs from nothing.
    differ = (differences.notna() & (differences != 0)).any(axis=1)
    rounds = differ.groupby(table["account"], sort=False).sum()
    shown = end[["account", "journal", *names]].rename(
        columns={replay.kind.name.lower(): replay.kind.name for replay in replays}
    )
    shown["rounds that differ"] = list(rounds.reindex(end["account"]))
    # What differs is seen whatever the number of accounts.
    shown = shown.sort_values("rounds that differ", ascending=False, kind="stable")
    note = f"Base units. Every account after every round: {EXECUTIONS}."
    return Section("Balances at the end", _grouped(shown.head(SHOWN)), note=_first(shown) + note)


def _first(table: pd.DataFrame) -> str:
    """Return in words that a table is cut; nothing where it is whole."""
    return f"The first {SHOWN} of {len(table):,}. " if len(table) > SHOWN else ""


# --- costs ----------------------------------------------------------------------------------------


def _by_round(replays: Sequence[Written]) -> Section:
    """Return what each round cost on each chain, beside what its devices had from it."""
    merged: pd.DataFrame | None = None
    for replay in replays:
        own = _of_round(replay)
        merged = own if merged is None else merged.merge(own, on="round", how="outer")
    assert merged is not None
    known = [replay.tables["rounds"] for replay in replays]
    for column in (UNDIVIDED, *UTILITIES):
        table = next((t for t in known if column in t), None)
        if table is not None:
            utility = table.drop_duplicates("round")[["round", column]]
            merged = merged.merge(utility, on="round", how="left")
    merged = merged.sort_values("round").rename(columns=lambda name: name.replace("_", " "))
    note = (
        f"{_prices(replays)} Undivided: units of the pot that rounding left to nobody. Utilities "
        "are means per device in base units of the run."
    )
    return Section("Cost of each round", _grouped(merged.head(SHOWN)), note=_first(merged) + note)


def _of_round(replay: Written) -> pd.DataFrame:
    """Return calls and cost of each round on one chain."""
    name, cost = replay.kind.name, replay.kind.cost
    sums = replay.tables["rounds"].groupby("round", as_index=False)[["calls", cost]].sum()
    return sums.rename(columns={"calls": f"{name} calls", cost: _named(replay)})


def _named(replay: Written) -> str:
    return f"{replay.kind.name} {replay.kind.cost}"


def _prices(replays: Sequence[Written]) -> str:
    words = {
        "fee": "Fees are base units of the chain's own token.",
        "gas": "Gas has no price here.",
    }
    return " ".join(words[replay.kind.cost] for replay in replays)


def _by_participant(run: RunResult, replays: Sequence[Written]) -> Section:
    """Return what calls of or about each device cost, beside what it had from the whole run."""
    columns = {}
    for replay in replays:
        columns[_named(replay)] = replay.costs().groupby("device")[replay.kind.cost].sum()
    merged = pd.DataFrame(columns).sort_index()
    if run.has({"participants": ("device", "utility")}):
        utility = run.participants.groupby("device")["utility"].sum()
        merged["utility"] = utility.reindex(merged.index)
    names = [f"device {d}" if d >= 0 else "others" for d in merged.index]
    merged.insert(0, "participant", names)
    custody = next((r.value("custody") for r in replays if r.value("custody")), "")
    about = (
        "Fees are of calls about a device: the operator paid all. " if custody == "operator" else ""
    )
    note = f"{about}Others: the operator, the organisation and whoever is no device."
    return Section(
        "Cost of each participant", _grouped(merged.head(SHOWN)), note=_first(merged) + note
    )


# --- rules ----------------------------------------------------------------------------------------


def _enforced(replays: Sequence[Written]) -> Iterator[Section]:
    """Yield the calls that a contract refused, by the reason that it gave."""
    for replay in replays:
        calls = replay.tables.get("calls")
        if calls is None:
            continue
        refused = calls[calls["outcome"] != DONE]
        cells = refused.groupby(["call", "outcome", "expected"], sort=True)["round"]
        table = cells.agg(times="size", first="min").reset_index()
        table["as it should be"] = [_expected(*row) for row in _pairs(table)]
        shown = table.drop(columns="expected").rename(
            columns={"outcome": "reason on the contract", "first": "first in round"}
        )
        contract = replay.value("chain.contract")
        note = f"{how_many(len(refused), 'call')} that contract {contract} refused. "
        heading = f"Enforced on {replay.kind.name}"
        yield Section(heading, _grouped(shown.head(SHOWN)), note=note + _first(shown))


def _pairs(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    return zip(table["outcome"], table["expected"], strict=True)


def _expected(outcome: str, expected: str) -> str:
    return "yes" if outcome in expected.split(" or ") else f"no: {expected}"


def _skipped(replays: Sequence[Written]) -> Iterator[Section]:
    """Yield what a chain could not be told."""
    for replay in replays:
        lines = replay.value("skipped", [])
        if lines:
            table = pd.DataFrame({"skipped": lines[:SHOWN]})
            yield Section(f"Skipped on {replay.kind.name}", table, head=False)


def _grouped(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its numbers as text: units to the last digit, means rounded."""
    shown = {name: [_text(value) for value in values] for name, values in table.items()}
    return pd.DataFrame(shown, dtype=object)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return "–"
    if isinstance(value, float):
        return number(value, 0)
    return whole(value) if isinstance(value, int) else str(value)
