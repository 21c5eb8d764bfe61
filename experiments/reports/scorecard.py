"""The scorecard in tables that fit a page: a few columns each, with their meaning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from experiments.labels import Labels
from experiments.numerals import rounded, with_interval
from experiments.reports.page import Section

MOST = 8
"""Most columns of a table beside the factors."""


@dataclass(frozen=True)
class Part:
    """Columns of the scorecard that stand together, with what they mean."""

    heading: str
    columns: dict[str, str]


PARTS = (
    Part(
        "Scorecard: learning",
        {
            "runs": "finished runs of the cell",
            "accuracy": "test accuracy at the end, with the interval of its mean",
            "reached_target": "share of runs that reached the target accuracy",
            "rounds_to_target": "mean rounds until then, infinite when a run never did",
            "time_to_target_s": "simulated seconds until then",
            "honest_rejected": "share of judged updates of honest devices that was rejected",
            "adversary_rejected": "the same of adversaries",
        },
    ),
    Part(
        "Scorecard: money",
        {
            "honest_utility": "utility of an honest device in the run, base units",
            "adversary_utility": "the same of an adversary",
            "advantage": "what an adversary has more than an honest device of the same run",
            "honest_income": "income of an honest device in the run",
            "adversary_income": "the same of an adversary",
            "spent": "base units that all devices gained",
            "cost_per_round": "fees of a round on a chain",
        },
    ),
    Part(
        "Scorecard: fairness",
        {
            "ir_violations": "share of honest devices worse off than outside",
            "slashed_honest": "share of honest devices that lost a penalty",
            "slashed_adversary": "the same of adversaries",
            "gini": "inequality of what devices hold: 0 all equal, 1 one holds all",
            "nakamoto": "least devices that hold more than half",
            "fairness_l1": "distance of honest devices' pay from their Shapley values, 0 to 2",
            "fairness_rank": "rank correlation of the two",
            "fairness_under": "largest shortfall of a share",
        },
    ),
)
HIDDEN = re.compile(
    r"planned|.*_(low|high)|ic_(gap|basis)|best_deviation|incentive_compatible|sybil_gain_\d+"
)
"""Columns that are bounds of another one, or that have a table of their own."""


def scorecard_parts(table: pd.DataFrame, labels: Labels) -> list[Section]:
    """Return the scorecard as tables of a few columns; the CSV has all columns."""
    keys = [factor for factor in labels.levels if factor in table]
    left = [c for c in table.columns if c not in keys and not HIDDEN.fullmatch(c)]
    sections = []
    for part in PARTS:
        legend = {c: m for c, m in part.columns.items() if c in left}
        left = [c for c in left if c not in legend]
        sections.append(_section(part.heading, table, keys, legend, labels))
    more = dict.fromkeys(left, "as the sweep's protocol declares it, mean over runs")
    for start in range(0, len(left), MOST):
        chosen = {c: more[c] for c in left[start : start + MOST]}
        sections.append(_section("Scorecard: other outcomes", table, keys, chosen, labels))
    return [section for section in sections if section.table is not None]


def _section(
    heading: str,
    table: pd.DataFrame,
    keys: Sequence[str],
    legend: dict[str, str],
    labels: Labels,
) -> Section:
    """Return one table, with an interval in the cell of its mean; no rows or columns of blanks."""
    known = [c for c in legend if table[c].notna().any()]
    rows = table[table[known].notna().any(axis=1)] if known else table.iloc[:0]
    if rows.empty:
        return Section(heading)
    shown = rows[list(keys)].copy()
    for column in known:
        shown[column] = rows[column]
        if f"{column}_low" in rows:
            shown[column] = with_interval(rows, column)
    shown = rounded(labels.applied(shown))
    words = {c: re.sub(" s$", " (s)", c.replace("_", " ")) for c in known}
    return Section(
        heading,
        shown.rename(columns=words),
        note="Data: scorecard.csv.",
        legend={words[c]: legend[c] for c in known},
    )
