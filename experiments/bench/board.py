"""The leaderboard: rows of one suite by their verdicts, and what every variant gains under a rule.

Three files lie beside each other: `leaderboard.csv`, `leaderboard-gains.csv`, and
`leaderboard.toml`, which says of which suite the rows are and how they were made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from experiments.bench.record import Record
from experiments.bench.row import gains_of, ordered, row_of
from experiments.bench.suite import Suite
from experiments.loader import toml_values
from experiments.numerals import number
from experiments.rundir import write_file
from experiments.spreadsheet import csv_frame, csv_text
from experiments.sweeps.design import checked
from fedstake.errors import InputError
from sim.scenario import SCHEMA_VERSION

TABLE, GAINS, ABOUT = "leaderboard.csv", "leaderboard-gains.csv", "leaderboard.toml"
COMMITTED = Path(__file__).parents[2] / "results" / "reference"
"""Folder of the leaderboard that comes with the repository."""
DIGITS = "%.9g"


class About(BaseModel):
    """Where a leaderboard is from, as `leaderboard.toml` holds it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: int
    suite_hash: Annotated[str, Field(max_length=40)]
    schema_version: int
    fedstake: Annotated[str, Field(max_length=40)]
    command: Annotated[str, Field(max_length=1_000)]


@dataclass(frozen=True)
class Board:
    """A leaderboard: rows as of `row_of`, gains as of `gains_of`, and where they are from."""

    about: About
    rows: pd.DataFrame
    gains: pd.DataFrame

    def with_rows(self, records: Sequence[Record], suite: Suite) -> Board:
        """Return it with the rows of more rules; one of the same name takes its place.

        A rule by path never takes the place of an installed one: it gets its file's name.
        """
        rows, gains = self.rows, self.gains
        for record in records:
            named = record.model_copy(update={"called": label_of(record)})
            row, gained = row_of(named, suite), gains_of(named, suite)
            rows = pd.concat(
                [rows[rows["rule"] != row["rule"]], pd.DataFrame([row])], ignore_index=True
            )
            gains = pd.concat([gains[gains["rule"] != row["rule"]], gained], ignore_index=True)
        return Board(self.about, ordered(rows), gains)


def label_of(record: Record) -> str:
    """Return what a rule is called in a leaderboard: with its file where it is by path."""
    if not record.file_hash:
        return record.called
    file = record.rule.partition(":")[0]
    return f"{record.called} ({file})"[:80]


def board_of(records: Sequence[Record], suite: Suite, command: str) -> Board:
    """Return the leaderboard of some rules."""
    about = About(
        suite=suite.version,
        suite_hash=suite.hash,
        schema_version=SCHEMA_VERSION,
        fedstake=version("fedstake"),
        command=command,
    )
    rows = pd.DataFrame([row_of(record, suite) for record in records])
    gains = pd.concat([gains_of(record, suite) for record in records], ignore_index=True)
    return Board(about, ordered(rows), gains)


def write_board(board: Board, folder: Path) -> None:
    """Write the three files of a leaderboard."""
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / TABLE, csv_text(board.rows, float_format=DIGITS))
    write_file(folder / GAINS, csv_text(board.gains, float_format=DIGITS))
    write_file(folder / ABOUT, tomli_w.dumps(board.about.model_dump()))


def read_board(folder: Path, suite: Suite) -> Board:
    """Read a leaderboard; raise `InputError` for one that is not there or of another suite."""
    remedy = "fedstake bench --all makes a leaderboard"
    file = folder / ABOUT
    values = toml_values(file, str(file), f"no such file; {remedy}")
    about = checked(About, values, str(file))
    if (about.suite, about.suite_hash) != (suite.version, suite.hash):
        raise InputError(
            f"{file}: suite_hash = {about.suite_hash}: this version has suite {suite.version} "
            f"({suite.hash}); rows of different suites are not compared; {remedy}"
        )
    for name in (TABLE, GAINS):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: no such file; {remedy}")
    rows, gains = csv_frame(folder / TABLE), csv_frame(folder / GAINS)
    for name in ("file_hash", "best_coalition", "pays"):
        rows[name] = rows[name].astype(object).where(rows[name].notna(), "")
    return Board(about, rows, gains)


def shown_rows(rows: pd.DataFrame, suite: Suite) -> pd.DataFrame:
    """Return the columns of a leaderboard that are shown to people, as text.

    Shares are per cent of an honest device's payoff; base units are whole.
    """
    records: list[dict[str, Any]] = rows.to_dict("records")  # type: ignore[assignment]
    return pd.DataFrame([_shown_row(row, suite) for row in records])


def _shown_row(row: Mapping[str, Any], suite: Suite) -> dict[str, str]:
    gains = {f"{k} ids": number(row[f"sybil_gain_{k}"], 0) for k in suite.identities}
    size = row["coalition"]
    return {
        "rule": row["rule"],
        "verdict": row["verdict"],
        "what pays": row["pays"] or "nothing found",
        "best deviation": row["best_deviation"],
        "gap %": _interval(row, "ic_gap_share", 0),
        "coalition": "none found" if pd.isna(size) else f"{size:.0f}",
        **gains,
        "accuracy": _interval(row, "accuracy", 3),
        "losing %": number(100 * row["losing"], 0),
        "budget": number(row["budget"], 0),
        "Gini": number(row["gini"], 2),
        "to Shapley": number(row["shapley_distance"], 2),
        "fee": number(row["fee"], 1),
    }


def _interval(row: Mapping[str, Any], name: str, decimals: int) -> str:
    value, low, high = (number(row[n], decimals) for n in (name, f"{name}_low", f"{name}_high"))
    return f"{value} ({low} to {high})"
