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
from experiments.scorecard.card import against_shapley, scorecard
from experiments.scorecard.settings import Bound, ScorecardSettings, read_settings
from mechanisms.plugin import nearest


@dataclass(frozen=True)
class Verdict:
    """`table`: the scorecard. `ranking`: per mechanism its value, and which bounds it breaks. `winner`: None if all break one,

    which `unfinished` is too: a cell of the sweep without a finished run. `note` says who ties, and what is missing.
    """

    table: pd.DataFrame
    ranking: pd.DataFrame
    winner: str | None
    files: tuple[Path, ...]
    note: str = ""


def compare(results: Results | str | Path, settings: ScorecardSettings | None = None) -> Verdict:
    """Score a sweep, rank its mechanisms and write `scorecard.csv`, `ranking.csv` and `winner.toml` into its folder."""
    opened = results if isinstance(results, Results) else Results.open(results)
    s = settings or read_settings(opened.spec.get("scorecard", {}), str(opened.folder))
    table = scorecard(opened, s)
    if not table["runs"].sum():
        raise RunError(f"{opened.folder}: no run is finished yet")
    fair = against_shapley(opened, s)
    if not fair.empty:
        table = table.merge(fair, how="left")
    ranking = rank(table, s, str(opened.folder))
    ahead = ranking[ranking["breaks"] == ""]
    winner = None if ahead.empty else str(ahead[s.mechanism].iloc[0])
    files = [opened.folder / "scorecard.csv", opened.folder / "ranking.csv"]
    write_file(files[0], table.to_csv(index=False, float_format="%.6g"))
    write_file(files[1], ranking.to_csv(index=False, float_format="%.6g"))
    target = opened.folder / "winner.toml"
    if winner is None:
        target.unlink(missing_ok=True)
    else:
        write_file(target, winner_toml(opened, table, ranking, winner, s))
        files.append(target)
    missing = int((table["planned"] - table["runs"]).sum())
    note = tie(ranking, s) if winner is not None else ""
    note += (
        f"; {missing} of {int(table['planned'].sum())} runs failed or are missing"
        if missing
        else ""
    )
    return Verdict(table, ranking, winner, tuple(files), note)


def rank(table: pd.DataFrame, s: ScorecardSettings, place: str) -> pd.DataFrame:
    """Mechanisms, best first: those that keep all bounds before those that break some."""
    o = s.objective
    for measure in (o.measure, *o.bounds):
        if measure not in table.columns or not pd.api.types.is_numeric_dtype(table[measure]):
            numbers = [c for c in table.columns if pd.api.types.is_numeric_dtype(table[c])]
            raise RunError(
                f"{place}: scorecard.objective: no measure {measure!r}; {nearest(measure, numbers)}"
            )
    rows = []
    for mechanism, group in table.groupby(s.mechanism, sort=False):
        values = group[o.measure].dropna()
        worst = values.min() if o.best == "max" else values.max()
        value = (
            float("nan") if values.empty else float(worst if o.over == "worst" else values.mean())
        )
        broken = ["unfinished"] if (group["runs"] == 0).any() else []
        broken += [name for name, bound in o.bounds.items() if not _keeps(group[name], bound)]
        rows.append({s.mechanism: mechanism, o.measure: value, "breaks": ", ".join(broken)})
    frame = pd.DataFrame(rows)
    frame["kept"] = frame["breaks"] == ""
    order = frame.sort_values(
        ["kept", o.measure], ascending=[False, o.best == "min"], kind="stable", na_position="last"
    )
    return order.drop(columns="kept").reset_index(drop=True)


def _keeps(values: pd.Series, bound: Bound) -> bool:
    """Whether all known values keep a bound; one that is never known does not."""
    known = values.dropna()
    if known.empty:
        return False
    return (bound.min is None or known.min() >= bound.min) and (
        bound.max is None or known.max() <= bound.max
    )


def winner_toml(
    results: Results, table: pd.DataFrame, ranking: pd.DataFrame, winner: str, s: ScorecardSettings
) -> str:
    """The winning scenario under its hardest adversary, with the evidence as comments above it."""
    o = s.objective
    own = table[table[s.mechanism].astype(str) == winner]
    missing = int((table["planned"] - table["runs"]).sum())
    hardest = own.sort_values(o.measure, ascending=o.best == "max").iloc[0]
    runs = results.runs()
    for key in results.factors:
        runs = runs[runs[key] == hardest[key]]
    first = runs.sort_values("seed").iloc[0]
    scenario = results.scenarios()[int(first["cell"])] | {"seed": int(first["seed"])}
    bounds = [f"{name} {_told(bound)}" for name, bound in o.bounds.items()]
    lines = [
        f"winner of the sweep {results.name}: {s.mechanism} = {winner}" + tie(ranking, s),
        f"runs: {int(table['runs'].sum())} of {int(table['planned'].sum())}"
        + (f", {missing} failed or missing" if missing else ""),
        f"objective: {o.over} {o.measure}, {o.best}imal"
        + (f", with {', '.join(bounds)}" if bounds else ""),
        *(f"  {i + 1}. {_line(row, s)}" for i, row in enumerate(_rows(ranking))),
        "its rows of the scorecard:",
        *(f"  {json.dumps(_plain(row))}" for row in _rows(own)),
        f"below: its scenario under {s.adversary} = {hardest[s.adversary]}, where its {o.measure} is worst; run it with",
        "  fedstake run winner.toml",
    ]
    return "".join(f"# {line}\n" for line in lines) + "\n" + tomli_w.dumps(scenario)


def tie(ranking: pd.DataFrame, s: ScorecardSettings) -> str:
    """Who else has the winner's value; nothing when nobody has."""
    best = ranking[ranking["breaks"] == ""]
    same = best[np.isclose(best[s.objective.measure], best[s.objective.measure].iloc[0])][
        s.mechanism
    ].astype(str)
    return f" (tie with {', '.join(same.iloc[1:])})" if len(same) > 1 else ""


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def _told(bound: Bound) -> str:
    return " and ".join(
        t
        for t, v in ((f">= {bound.min}", bound.min), (f"<= {bound.max}", bound.max))
        if v is not None
    )


def _line(row: dict[str, Any], s: ScorecardSettings) -> str:
    told = f"{row[s.mechanism]}: {row[s.objective.measure]:.6g}"
    return told + (f", breaks {row['breaks']}" if row["breaks"] else "")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items() if v == v}
