"""The winner of a stated objective, as a scenario that can be run and replayed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w

from experiments.numerals import how_many
from experiments.orderings import opposite, place_of
from experiments.recorded import sound
from experiments.results import Results
from experiments.rundir import RunError, check_writable, write_file
from experiments.scorecard.card import score
from experiments.scorecard.columns import check_measures, directed
from experiments.scorecard.deviations import METHODS, coalition_warnings
from experiments.scorecard.lead import Lead, lead_of
from experiments.scorecard.measures import advantage
from experiments.scorecard.settings import (
    UNSTATED,
    Bound,
    Objective,
    ScorecardSettings,
    read_settings,
    resolved,
)
from experiments.scorecard.shapley import against_shapley
from experiments.spreadsheet import csv_text
from fedstake.folders import chosen_folder
from fedstake.outside import literal

SCORECARD, GAINS, RANKING, WINNER = "scorecard.csv", "gains.csv", "ranking.csv", "winner.toml"
ROWS = "its rows of the scorecard:"
"""Heads the rows of the winner in the comments of `winner.toml`."""


@dataclass(frozen=True)
class Verdict:
    """The result of comparing the mechanisms of a sweep."""

    table: pd.DataFrame
    """The scorecard."""
    gains: pd.DataFrame
    """Per mechanism, environment and deviation what it gains, with a simultaneous interval."""
    ranking: pd.DataFrame
    """Per mechanism its value and what it violates: bounds; `unfinished`, a cell without a finished
    run; `unknown`, a measure that none of its rows has."""
    title: str
    """What the ranking is by, and in which direction."""
    winner: str | None
    """The one best mechanism that violates nothing; None when there is none."""
    called: str
    """What the winner is called where people read it; empty when there is none."""
    reason: str
    """Why there is no winner; empty when there is one."""
    files: tuple[Path, ...]
    """The files that were written."""
    level: float
    """Of the intervals."""
    method: str
    """How the intervals of gains are made."""
    note: str = ""
    """Runs that failed or are missing."""
    lead: Lead | None = None
    """How far the winner is ahead of the next; None without a winner, or where single runs do not
    have the measure."""
    warnings: tuple[str, ...] = ()
    """What the numbers do not show."""

    @property
    def answer(self) -> str:
        """The winner, or why there is none, in one line."""
        if self.winner is None:
            return f"no winner: {self.reason}{self.note}"
        return f"winner: {self.called}{self.ahead}{self.note}"

    @property
    def ahead(self) -> str:
        """How far the winner is ahead, to be read after its name; "" where nothing is known."""
        return f", {self.lead}" if self.lead else ""


def compare(
    results: Results | str | Path,
    settings: ScorecardSettings | None = None,
    out: str | Path | None = None,
) -> Verdict:
    """Score a sweep and rank its mechanisms.

    Writes `scorecard.csv`, `gains.csv`, `ranking.csv` and, when there is a winner, `winner.toml`
    into `out`, by default the folder of the sweep. Raises `RunError` for settings that do not fit
    the sweep.
    """
    opened = results if isinstance(results, Results) else Results.open(results)
    place, folder = str(opened.folder), chosen_folder(out) or opened.folder
    check_writable(folder)
    given = settings or read_settings(opened.spec.get("scorecard", {}), place)
    s = resolved(given, got_more_seeds=opened.got_more_seeds)
    asked = s.objective or UNSTATED

    # Score and rank.
    with sound(opened.folder, "the scorecard"):
        scores = score(opened, s, asked.measures)
        table = scores.table
        if not table["runs"].sum():
            raise RunError(f"{place}: no run is finished yet")
        fair = against_shapley(opened, s)
    if not fair.empty:
        table = table.merge(fair, how="left")
    numbers = [c for c in table.columns if pd.api.types.is_numeric_dtype(table[c])]
    check_measures(asked, numbers, place)
    objective = directed(asked, opened.directions(), place)
    ranking = rank(table, s.mechanism, objective)
    reason = _no_winner(opened, table, ranking, s, objective)
    winner, lead, evidence = None, None, ""
    if not reason:
        winner = str(ranking[s.mechanism].iloc[0])
        lead = lead_of(opened, table, ranking, s.mechanism, objective)
        evidence = winner_toml(opened, table, ranking, winner, s.mechanism, objective, lead)
    files = _write(folder, (table, scores.gains, ranking), evidence)

    missing = int((table["planned"] - table["runs"]).sum())
    planned = how_many(int(table["planned"].sum()), "run")
    return Verdict(
        table=table,
        gains=scores.gains,
        ranking=ranking,
        title=title(objective, stated=s.objective is not None),
        winner=winner,
        called="" if reason else opened.labels.level(s.mechanism, ranking[s.mechanism].iloc[0]),
        reason=reason,
        files=tuple(files),
        level=s.level,
        method=METHODS[bool(s.sequential)],
        lead=lead,
        note=f"; {missing} of {planned} failed or are missing" if missing else "",
        warnings=tuple(coalition_warnings(scores.gains, partial(_deviation, opened, s))),
    )


def _deviation(results: Results, s: ScorecardSettings, level: str) -> str:
    """Return what people call a level of the factor of deviations, which tables have as text."""
    recorded = results.labels.levels.get(s.adversary, {})
    same = next((found for found in recorded if str(found) == level), level)
    return results.labels.named(s.adversary, same)


def _write(folder: Path, frames: Sequence[pd.DataFrame], winner: str) -> list[Path]:
    """Write the scorecard, the gains, the ranking and the winner; return their files.

    `winner`: the text of its file; "" without one, and that of an earlier one goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in (SCORECARD, GAINS, RANKING)]
    for file, frame in zip(files, frames, strict=True):
        write_file(file, csv_text(frame, "%.6g"))
    target = folder / WINNER
    if not winner:
        target.unlink(missing_ok=True)
        return files
    write_file(target, winner)
    return [*files, target]


def title(objective: Objective, *, stated: bool) -> str:
    """Return what a ranking is by: "ranking by advantage, worst attack, lowest first"."""
    over = {"worst": "worst attack", "mean": "mean over attacks"}[objective.over]
    first = {"max": "highest", "min": "lowest"}[_best(objective)]
    text = f"ranking by {objective.measure}, {over}, {first} first"
    return text if stated else f"{text} (default objective)"


def rank(table: pd.DataFrame, mechanism: str, objective: Objective) -> pd.DataFrame:
    """Return the mechanisms, best first, those that violate nothing before the others.

    `mechanism` is the factor whose levels are compared.
    """
    o = objective
    rows = []
    for name, group in table.groupby(mechanism, sort=False):
        value = _value(group[o.measure].dropna(), o)
        violates = []
        if (group["runs"] == 0).any():
            violates.append("unfinished")
        if np.isnan(value):
            violates.append("unknown")
        violates += [key for key, bound in o.bounds.items() if not _keeps(group[key], bound)]
        rows.append({mechanism: name, o.measure: value, "violates": ", ".join(violates)})
    frame = pd.DataFrame(rows)
    frame["kept"] = frame["violates"] == ""
    order = frame.sort_values(
        ["kept", o.measure], ascending=[False, o.best == "min"], kind="stable", na_position="last"
    )
    return order.drop(columns="kept").reset_index(drop=True)


def _no_winner(
    results: Results,
    table: pd.DataFrame,
    ranking: pd.DataFrame,
    s: ScorecardSettings,
    objective: Objective,
) -> str:
    """Return in plain words why no mechanism can be called the winner; empty when one can."""
    if s.objective is None:
        return (
            "the sweep states no objective; add one to its file, as "
            '[scorecard.objective] with measure = "advantage"'
        )
    ahead = ranking[ranking["violates"] == ""]
    if ahead.empty:
        bounded = set(", ".join(ranking["violates"]).split(", ")) & objective.bounds.keys()
        if bounded:
            return "every mechanism violates a bound"
        return "no mechanism has a known value in all its cells"
    values = ahead[objective.measure].to_numpy(dtype=float)
    tied = ahead[s.mechanism][_same(values, values[0])].tolist()
    if len(tied) == 1:
        return ""
    names = _listed([results.labels.level(s.mechanism, name) for name in tied])
    if _cannot_differ(results, table, tied, s, objective.measure):
        return (
            f"{names} tie: {objective.measure} is the same in every pair of their runs, "
            "so it cannot tell them apart; choose a measure that they change"
        )
    return f"{names} tie at {objective.measure} = {values[0]:.6g}"


def _cannot_differ(
    results: Results, table: pd.DataFrame, names: Sequence[Any], s: ScorecardSettings, measure: str
) -> bool:
    """Return whether mechanisms have the same value in all pairs of runs that differ in them alone.

    Of a measure that single runs do not have, in all pairs of rows of the scorecard.
    """
    runs = results.outcomes()
    runs["advantage"] = advantage(runs)
    frame, keys = (runs, ["seed"]) if measure in runs else (table, [])
    keys = [*keys, *(factor for factor in results.factors if factor != s.mechanism)]
    pairs = frame[frame[s.mechanism].isin(names)].groupby(keys, dropna=False)[measure]
    return bool(_same(pairs.min().to_numpy(float), pairs.max().to_numpy(float)).all())


def _same(values: np.ndarray, others: Any) -> np.ndarray:
    """Return which values are the same but for rounding; unknown ones are the same."""
    return np.isclose(values, others, rtol=1e-9, atol=1e-12, equal_nan=True)


def _listed(names: Sequence[str]) -> str:
    """Return names in words: a, b and c."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _best(objective: Objective) -> Any:
    """Return the direction of an objective that states it."""
    assert objective.best is not None
    return objective.best


def _value(values: pd.Series, objective: Objective) -> float:
    """Return a mechanism's value from the known ones of its rows; NaN without any."""
    if values.empty:
        return float("nan")
    if objective.over == "mean":
        return float(values.mean())
    return float(values.min() if objective.best == "max" else values.max())


def _keeps(values: pd.Series, bound: Bound) -> bool:
    """Return whether all known values keep a bound; without a known value it is not kept."""
    known = values.dropna()
    if known.empty:
        return False
    above = bound.min is None or known.min() >= bound.min
    below = bound.max is None or known.max() <= bound.max
    return bool(above and below)


def winner_toml(
    results: Results,
    table: pd.DataFrame,
    ranking: pd.DataFrame,
    winner: str,
    mechanism: str,
    objective: Objective,
    lead: Lead | None,
) -> str:
    """Return the winning scenario under its hardest adversary, with the evidence as comments."""
    o = objective
    own = table[table[mechanism].astype(str) == winner]
    worst = place_of(opposite(_best(o)), own[o.measure])
    assert worst is not None  # the value of a winner is known
    hardest = own.iloc[worst]

    # The scenario of the first seed of the cell where the winner's measure is worst.
    runs = results.runs()
    for key in results.factors:
        runs = runs[runs[key] == hardest[key]]
    scenario = results.scenarios()[int(runs["cell"].iloc[0])] | {"seed": int(runs["seed"].min())}

    finished = f"runs: {int(table['runs'].sum())} of {int(table['planned'].sum())}"
    missing = int((table["planned"] - table["runs"]).sum())
    if missing:
        finished += f", {missing} failed or missing"
    stated = title(o, stated=True)
    if o.bounds:
        limits = [f"{name} {_limits(bound)}" for name, bound in o.bounds.items()]
        stated += f", with {', '.join(limits)}"
    levels = ", ".join(f"{key} = {hardest[key]}" for key in results.factors if key != mechanism)
    lines = [
        f"winner of the sweep {results.name}: {mechanism} = {winner}",
        finished,
        f"{stated}:",
        *(f"  {i}. {_rank_line(row, mechanism, o)}" for i, row in enumerate(_rows(ranking), 1)),
        *_ahead(winner, lead),
        f"below: its scenario under {levels}, where its {o.measure} is worst; run it with",
        "  fedstake run winner.toml",
        ROWS,
        *(f"  {json.dumps(_rounded(row))}" for row in _rows(own)),
    ]
    return "".join(f"# {literal(line)}\n" for line in lines) + "\n" + tomli_w.dumps(scenario)


def _ahead(winner: str, lead: Lead | None) -> list[str]:
    """Return a line on how far the winner is ahead; none where nothing is known of it."""
    if lead is None:
        return []
    return [f"{winner} is {lead}" if lead.known else str(lead)]


def evidence(text: str) -> str:
    """Return the comments of a `winner.toml` for reading, without its rows of the scorecard."""
    comments = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    end = comments.index(ROWS) if ROWS in comments else len(comments)
    return "\n".join(comments[:end])


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def _limits(bound: Bound) -> str:
    """Return a bound in words, as `>= 0 and <= 1`."""
    limits = [(">=", bound.min), ("<=", bound.max)]
    return " and ".join(f"{sign} {limit}" for sign, limit in limits if limit is not None)


def _rank_line(row: dict[str, Any], mechanism: str, objective: Objective) -> str:
    line = f"{row[mechanism]}: {row[objective.measure]:.6g}"
    return f"{line}, violates {row['violates']}" if row["violates"] else line


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Return the known values of a row, floats rounded to six places."""
    known = {key: value for key, value in row.items() if value == value}
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in known.items()}
