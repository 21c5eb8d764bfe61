"""The register of claims as a table and a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from experiments.claims.claim import Claim, Measured
from experiments.numerals import digits, how_many, number

COLUMNS = [
    "claim",
    "verdict",
    "mean",
    "low",
    "high",
    "seeds",
    "unit",
    "within",
    "says",
    "who",
    "source",
    "claimed",
    "rules",
    "scenario",
]


def measured_text(claim: Claim, found: Measured) -> str:
    """Return a mean with its interval, unit and number of seeds."""
    b = found.bound
    seeds = how_many(found.seeds, "seed")
    return f"{mean_text(b.mean, b.low, b.high, claim.measure.unit)}, {seeds}"


def mean_text(mean: float, low: float, high: float, unit: str) -> str:
    """Return a mean with its interval and unit."""
    decimals = digits([mean, low, high])
    shown, least, most = (number(value, decimals) for value in (mean, low, high))
    return f"{shown} ({least} to {most}) {unit}"


def register_frame(claims: Mapping[str, Claim], found: Mapping[str, Measured]) -> pd.DataFrame:
    """Return one row for each claim: claimed, measured, interval, verdict."""
    rows = []
    for name, claim in claims.items():
        measured = found[name]
        bound = measured.bound
        row: dict[str, Any] = {
            "claim": name,
            "verdict": measured.verdict,
            "mean": bound.mean,
            "low": bound.low,
            "high": bound.high,
            "seeds": measured.seeds,
            "unit": claim.measure.unit,
            "within": str(claim.measure.within),
            "says": claim.says,
            "who": claim.who,
            "source": claim.source,
            "claimed": claim.claimed,
            "rules": ", ".join(claim.rules),
            "scenario": claim.play.scenario,
        }
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def register_page(table: pd.DataFrame) -> str:
    """Return the page of the register from its table (`register_frame`)."""
    counts = table["verdict"].value_counts()
    total = ", ".join(f"{int(counts[v])} {WORDS[v]}" for v in ORDER if v in counts)
    lines = [
        "# Claims about incentives",
        "",
        f"{len(table)} claims were played: {total}. A claim *holds* where the whole 95 % interval "
        "(Student, seeds",
        "fixed before) lies within its limits, *fails* where the whole interval lies outside.",
        "",
        "| verdict | claim | who | claimed | measured | holds if |",
        "|---|---|---|---|---|---|",
    ]
    rank = {verdict: i for i, verdict in enumerate(ORDER)}
    ordered = table.sort_values("verdict", key=lambda column: column.map(rank), kind="stable")
    lines += [_row(row) for row in ordered.to_dict("records")]
    lines += ["", "## Each claim", ""]
    for row in ordered.to_dict("records"):
        lines += [
            f"- **{row['claim']}** ({row['rules']}; {row['source']}): scenario "
            f"`{row['scenario']}`. `fedstake verify results/claims/{row['claim']}.toml`",
        ]
    return "\n".join(lines) + "\n"


ORDER = ("fails", "undecided", "holds")
"""Verdicts in the order of the page: what does not hold comes first."""
WORDS = {"fails": "fail", "undecided": "are undecided", "holds": "hold"}


def _row(row: Mapping[Any, Any]) -> str:
    measured = mean_text(row["mean"], row["low"], row["high"], row["unit"])
    cells = [row["verdict"], row["says"], row["who"], row["claimed"], measured, row["within"]]
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
