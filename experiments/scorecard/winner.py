"""The winner of a stated objective, as a scenario that can be run and replayed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w

from experiments.results import Results
from experiments.rundir import RunError, write_file
from experiments.scorecard.card import scorecard
from experiments.scorecard.settings import Bound, ScorecardSettings, read_settings
from experiments.scorecard.shapley import against_shapley
from mechanisms.plugin import nearest


@dataclass(frozen=True)
class Verdict:
    """The result of comparing the mechanisms of a sweep."""

    table: pd.DataFrame
    """The scorecard."""
    ranking: pd.DataFrame
    """Per mechanism its value and what it breaks: bounds; `unfinished`, a cell without a finished
    run; `unknown`, a measure that none of its rows has."""
    winner: str | None
    """The best mechanism that breaks nothing; None when there is none."""
    files: tuple[Path, ...]
    """The files that were written."""
    note: str = ""
    """Mechanisms that tie with the winner, and runs that failed or are missing."""


def compare(results: Results | str | Path, settings: ScorecardSettings | None = None) -> Verdict:
    """Score a sweep and rank its mechanisms.

    Writes `scorecard.csv`, `ranking.csv` and, when there is a winner, `winner.toml` into its
    folder. Raises `RunError` for settings that do not fit the sweep.
    """
    opened = results if isinstance(results, Results) else Results.open(results)
    s = settings or read_settings(opened.spec.get("scorecard", {}), str(opened.folder))

    # Score and rank.
    table = scorecard(opened, s)
    if not table["runs"].sum():
        raise RunError(f"{opened.folder}: no run is finished yet")
    fair = against_shapley(opened, s)
    if not fair.empty:
        table = table.merge(fair, how="left")
    ranking = rank(table, s, str(opened.folder))
    ahead = ranking[ranking["breaks"] == ""]
    winner = None if ahead.empty else str(ahead[s.mechanism].iloc[0])

    # Write.
    files = [opened.folder / "scorecard.csv", opened.folder / "ranking.csv"]
    write_file(files[0], table.to_csv(index=False, float_format="%.6g"))
    write_file(files[1], ranking.to_csv(index=False, float_format="%.6g"))
    target = opened.folder / "winner.toml"
    if winner is None:
        target.unlink(missing_ok=True)
    else:
        write_file(target, winner_toml(opened, table, ranking, winner, s))
        files.append(target)

    note = "" if winner is None else tie(ranking, s)
    missing = int((table["planned"] - table["runs"]).sum())
    if missing:
        note += f"; {missing} of {int(table['planned'].sum())} runs failed or are missing"
    return Verdict(table, ranking, winner, tuple(files), note)


def rank(table: pd.DataFrame, s: ScorecardSettings, place: str) -> pd.DataFrame:
    """Return the mechanisms, best first, those that break nothing before the others.

    Raises `RunError` when the objective or a bound asks for a measure that the table does not have.
    """
    _check_measures(table, s, place)
    o = s.objective
    rows = []
    for mechanism, group in table.groupby(s.mechanism, sort=False):
        value = _value(group[o.measure].dropna(), s)
        breaks = []
        if (group["runs"] == 0).any():
            breaks.append("unfinished")
        if np.isnan(value):
            breaks.append("unknown")
        breaks += [name for name, bound in o.bounds.items() if not _keeps(group[name], bound)]
        rows.append({s.mechanism: mechanism, o.measure: value, "breaks": ", ".join(breaks)})
    frame = pd.DataFrame(rows)
    frame["kept"] = frame["breaks"] == ""
    order = frame.sort_values(
        ["kept", o.measure], ascending=[False, o.best == "min"], kind="stable", na_position="last"
    )
    return order.drop(columns="kept").reset_index(drop=True)


def _check_measures(table: pd.DataFrame, s: ScorecardSettings, place: str) -> None:
    """Raise `RunError`, in one line, for all measures asked for that the table does not have."""
    o = s.objective
    numbers = [c for c in table.columns if pd.api.types.is_numeric_dtype(table[c])]
    asked = [(f"measure = {o.measure!r}", o.measure)]
    asked += [(f"bounds.{name}", name) for name in o.bounds]
    missing = [
        f"scorecard.objective.{key}: no measure of this sweep; {nearest(name, numbers)}"
        for key, name in asked
        if name not in numbers
    ]
    if missing:
        raise RunError(f"{place}: {'; '.join(missing)}")


def _value(values: pd.Series, s: ScorecardSettings) -> float:
    """Return a mechanism's value from that of its rows; NaN without any."""
    if values.empty:
        return float("nan")
    if s.objective.over == "mean":
        return float(values.mean())
    return float(values.min() if s.objective.best == "max" else values.max())


def _keeps(values: pd.Series, bound: Bound) -> bool:
    """Return whether all known values keep a bound; without a known value it is not kept."""
    known = values.dropna()
    if known.empty:
        return False
    above = bound.min is None or known.min() >= bound.min
    below = bound.max is None or known.max() <= bound.max
    return bool(above and below)


def winner_toml(
    results: Results, table: pd.DataFrame, ranking: pd.DataFrame, winner: str, s: ScorecardSettings
) -> str:
    """Return the winning scenario under its hardest adversary, with the evidence as comments."""
    o = s.objective
    own = table[table[s.mechanism].astype(str) == winner]
    hardest = own.sort_values(o.measure, ascending=o.best == "max").iloc[0]

    # The scenario of the first seed of the cell where the winner's measure is worst.
    runs = results.runs()
    for key in results.factors:
        runs = runs[runs[key] == hardest[key]]
    first = runs.sort_values("seed").iloc[0]
    scenario = results.scenarios()[int(first["cell"])] | {"seed": int(first["seed"])}

    finished = f"runs: {int(table['runs'].sum())} of {int(table['planned'].sum())}"
    missing = int((table["planned"] - table["runs"]).sum())
    if missing:
        finished += f", {missing} failed or missing"
    objective = f"objective: {o.over} {o.measure}, {o.best}imal"
    if o.bounds:
        limits = [f"{name} {_limits(bound)}" for name, bound in o.bounds.items()]
        objective += f", with {', '.join(limits)}"
    lines = [
        f"winner of the sweep {results.name}: {s.mechanism} = {winner}{tie(ranking, s)}",
        finished,
        objective,
        *(f"  {i}. {_rank_line(row, s)}" for i, row in enumerate(_rows(ranking), 1)),
        "its rows of the scorecard:",
        *(f"  {json.dumps(_rounded(row))}" for row in _rows(own)),
        f"below: its scenario under {s.adversary} = {hardest[s.adversary]}, "
        f"where its {o.measure} is worst; run it with",
        "  fedstake run winner.toml",
    ]
    return "".join(f"# {line}\n" for line in lines) + "\n" + tomli_w.dumps(scenario)


def tie(ranking: pd.DataFrame, s: ScorecardSettings) -> str:
    """Return which other mechanisms have the winner's value; an empty text when none has."""
    best = ranking[ranking["breaks"] == ""]
    values = best[s.objective.measure]
    same = best[np.isclose(values, values.iloc[0])]
    others = same[s.mechanism].astype(str).iloc[1:]
    return f" (tie with {', '.join(others)})" if len(others) else ""


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def _limits(bound: Bound) -> str:
    """Return a bound in words, as `>= 0 and <= 1`."""
    limits = [(">=", bound.min), ("<=", bound.max)]
    return " and ".join(f"{sign} {limit}" for sign, limit in limits if limit is not None)


def _rank_line(row: dict[str, Any], s: ScorecardSettings) -> str:
    line = f"{row[s.mechanism]}: {row[s.objective.measure]:.6g}"
    return f"{line}, breaks {row['breaks']}" if row["breaks"] else line


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Return the known values of a row, floats rounded to six places."""
    known = {key: value for key, value in row.items() if value == value}
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in known.items()}
