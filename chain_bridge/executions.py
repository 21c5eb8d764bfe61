"""One rule, several executions of the same tape: our integers and the chains', unit by unit.

The journal is that of the run itself, not what a replay says of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction

import pandas as pd

from chain_bridge.errors import PlanError
from chain_bridge.plan import rows
from chain_bridge.recording import BURN, ISSUANCE
from chain_bridge.written import MOST_ROWS, Written

NO_VECTORS = (
    "A fourth execution, the fixed-point numbers of a live network, is not compared: no shipped "
    "rule comes with vectors that a network has published."
)


def executions(journal: pd.DataFrame, replays: Sequence[Written]) -> pd.DataFrame:
    """Return one row per round and account: what it held by the journal and on each chain.

    Columns `round`, `account`, `journal` (base units), then by chain its balance in base units
    (`substrate`, `evm`) and `..._difference` in units of the chain. None where a chain was not read
    then. Balances are Python integers, or fractions where a chain with a scale holds no whole unit.
    """
    read = {replay.kind.name.lower(): (replay.scale, _by_place(replay)) for replay in replays}
    rounds = {r for _, found in read.values() for r, _ in found}
    strangers = {account for _, found in read.values() for _, account in found}
    _check_size(journal, rounds, strangers)
    lines = []
    for r, held in _held(journal, rounds):
        for account in [*held, *sorted(strangers - held.keys())]:
            line = [r, account, held.get(account, 0)]
            for scale, found in read.values():
                line += _beside(found.get((r, account)), held.get(account, 0), scale)
            lines.append(line)
    columns = ["round", "account", "journal"]
    for name in read:
        columns += [name, f"{name}_difference"]
    return pd.DataFrame(lines, columns=columns, dtype=object).astype({"round": "int64"})


def _check_size(journal: pd.DataFrame, rounds: set[int], accounts: set[str]) -> None:
    """Raise `PlanError` for more rows than anybody would read: a replay comes from anybody."""
    count = len(rounds.union(journal["round"])) * len(
        accounts.union(journal["debit"], journal["credit"])
    )
    if count > MOST_ROWS:
        raise PlanError(
            f"{count:,} balances, of every account after every round: the most that are compared "
            f"side by side is {MOST_ROWS:,}"
        )


def _by_place(replay: Written) -> dict[tuple[int, str], int]:
    return {
        (r, name): held for r, name, held in rows(replay.balances(), "round", "account", "chain")
    }


def _beside(found: int | None, held: int, scale: int) -> list[int | Fraction | None]:
    """Return a balance in base units and its difference in units of the chain."""
    if found is None:
        return [None, None]
    value = Fraction(found, scale)
    return [int(value) if value.denominator == 1 else value, found - held * scale]


def _held(journal: pd.DataFrame, more: set[int]) -> Iterator[tuple[int, dict[str, int]]]:
    """Yield each round and what accounts hold after it; all accounts of the run, in their order."""
    entries = journal.sort_values("round", kind="stable")
    columns = ("round", "debit", "credit", "amount")
    names = dict.fromkeys(name for _, *pair, _ in rows(entries, *columns) for name in pair)
    held = Counter({name: 0 for name in names if name not in (ISSUANCE, BURN)})
    waiting = list(rows(entries, *columns))[::-1]
    for r in sorted({*map(int, journal["round"]), *more}):
        while waiting and waiting[-1][0] <= r:
            _, debit, credit, amount = waiting.pop()
            for name, change in ((debit, -int(amount)), (credit, int(amount))):
                if name in held:
                    held[name] += change
        yield r, dict(held)


def at_the_end(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the last round of `executions`."""
    return table[table["round"] == table["round"].max()].reset_index(drop=True)


def in_short(table: pd.DataFrame, replays: Sequence[Written]) -> pd.DataFrame:
    """Return one row per execution: balances that were compared, that differ, that are missing.

    `supply`: the sum of all accounts at the end, as far as they were read, in base units.
    """
    end = at_the_end(table)
    first = {"execution": "journal", "balances": len(table), "differ": 0, "missing": 0}
    lines = [first | {"largest difference": 0, "supply": sum(end["journal"])}]
    for replay in replays:
        name = replay.kind.name.lower()
        differences = [abs(d) for d in table[f"{name}_difference"] if d is not None]
        lines.append(
            {
                "execution": replay.kind.name,
                "balances": len(differences),
                "differ": sum(d > 0 for d in differences),
                "missing": len(table) - len(differences),
                "largest difference": max(differences, default=0),
                "supply": sum(value for value in end[name] if value is not None),
            }
        )
    return pd.DataFrame(lines)
