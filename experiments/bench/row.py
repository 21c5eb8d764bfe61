"""The row of a rule: what follows from its record, every number with how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from experiments.audits.audit import LEAST_SPREAD, together
from experiments.bench.record import Record
from experiments.bench.suite import Suite
from experiments.confidence import Bound, student
from experiments.numerals import number
from experiments.orderings import place_of

VERDICTS = ("compatible", "undecided", "profitable")
"""From the best to the worst."""
GAINS = ["rule", "kind", "variant", "devices", "gain", "low", "high", "share", "verdict"]
"""Of a table of gains: base units per run with interval, and per cent of an honest payoff."""


def scale_of(record: Record) -> float:
    """Return what gains are measured by: the mean absolute payoff of an honest device in a run.

    As in audits: income less costs, so that it is there under a rule that pays nothing, and
    absolute, so that losses do not make it vanish.
    """
    return float(np.mean(record.honest.size))


def gains_of(record: Record, suite: Suite) -> pd.DataFrame:
    """Return a row for each variant of a record: its gain, and whether it pays; see `GAINS`.

    Intervals are Student's over cells, simultaneous for all variants (Bonferroni): the number of
    cells was fixed before. Gains whose standard deviation is below a third of what counts as a
    gain are taken to spread as much: that all were alike does not prove that they always are.
    """
    scale = scale_of(record)
    epsilon = suite.tolerance * scale
    alpha = (1 - suite.level) / len(record.gains)
    rows = []
    for variant in suite.variants(record.protocol):
        if not variant.baseline:
            continue
        gap = _student(record.gains[variant.name], alpha, epsilon / LEAST_SPREAD)
        share = 100 * gap.mean / scale if scale else np.nan
        ends = (gap.mean, gap.low, gap.high, share, _verdict(gap, epsilon))
        rows.append((record.called, variant.kind, variant.name, variant.size, *ends))
    return pd.DataFrame(rows, columns=GAINS)


def _student(gains: Sequence[float], alpha: float, least: float) -> Bound:
    """Return a mean gain with Student's interval; a spread below `least` counts as `least`."""
    x = np.asarray(gains, dtype=np.float64)
    spread = max(float(x.std(ddof=1)), least)
    half = float(stdtrit(len(x) - 1, 1 - alpha / 2)) * spread / len(x) ** 0.5
    return Bound(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half)


def _verdict(gap: Bound, epsilon: float) -> str:
    if gap.low > epsilon:
        return "profitable"
    return "compatible" if gap.high <= epsilon else "undecided"


def row_of(record: Record, suite: Suite) -> dict[str, Any]:
    """Return the row of a rule: columns as in docs/how-to/put-a-rule-on-the-leaderboard.md."""
    gains, scale, honest = gains_of(record, suite), scale_of(record), record.honest
    alone = gains[gains["kind"] == "deviation"]
    verdicts = {kind: together(part["verdict"]) for kind, part in gains.groupby("kind")}
    row: dict[str, Any] = {
        "rule": record.called,
        "verdict": together(verdicts.values()),
        "pays": what_pays(gains),
        "best_deviation": str(alone["variant"].iloc[_largest(alone["gain"])]),
        "deviations": verdicts["deviation"],
        "sybils": verdicts["sybils"],
        "coalitions": verdicts["coalition"],
    }
    row |= _named("ic_gap", _worst(alone))
    for name in ("ic_gap", "ic_gap_low", "ic_gap_high"):
        row[name.replace("gap", "gap_share")] = 100 * row[name] / scale if scale else np.nan
    row |= _smallest_coalition(gains)
    for k in suite.identities:
        split = gains[(gains["kind"] == "sybils") & (gains["devices"] == k)]
        row |= _named(f"sybil_gain_{k}", _worst(split))
    row |= _named("accuracy", _mean(honest.accuracy, suite))
    row |= _named("income", _mean(honest.income, suite))
    row |= _named("losing", _mean(honest.losing, suite))
    row["worst_payoff"] = min(honest.worst)
    row |= _named("budget", _mean(honest.spent, suite))
    for name, values in (("gini", honest.gini), ("shapley_distance", honest.shapley)):
        known = [value for value in values if value is not None]
        row |= _named(name, _mean(known, suite))
        row[f"{name}_cells"] = len(known)
    moves = [float(np.mean(values)) for values in (honest.mint, honest.transfer, honest.burn)]
    row |= {
        "fee": suite.fees.of(*moves),
        "payments": sum(moves),
        "cells": len(honest.accuracy),
        "on_tape": record.on_tape,
        "played": record.played,
        "protocol": record.protocol,
        "file_hash": record.file_hash,
    }
    return row


def _largest(gains: pd.Series) -> int:
    place = place_of("max", gains)
    assert place is not None
    return place


def _worst(gains: pd.DataFrame) -> Bound:
    """Return the largest mean gain, with bounds of the largest gain, whichever variant has it."""
    return Bound(float(gains["gain"].max()), float(gains["low"].max()), float(gains["high"].max()))


def _smallest_coalition(gains: pd.DataFrame) -> dict[str, Any]:
    """Return the fewest devices with a gain that is sure; none where none was found."""
    among = gains[(gains["kind"] != "sybils") & (gains["verdict"] == "profitable")]
    if among.empty:
        return {"coalition": None, "best_coalition": ""}
    size = int(among["devices"].min())
    of_size = among[among["devices"] == size]
    best = of_size["variant"].iloc[_largest(of_size["gain"])]
    return {"coalition": size, "best_coalition": str(best)}


def what_pays(gains: pd.DataFrame) -> str:
    """Return the variant that makes a verdict "profitable"; "" where nothing certainly pays.

    Of those that certainly pay it takes the fewest devices or identities, and then gains most.
    """
    paying = gains[gains["verdict"] == "profitable"]
    if paying.empty:
        return ""
    fewest = paying[paying["devices"] == paying["devices"].min()]
    return str(fewest["variant"].iloc[_largest(fewest["gain"])])


def _mean(values: Sequence[float], suite: Suite) -> Bound:
    """Return a mean over cells with Student's interval; NaN where too little is known."""
    if not len(values):
        return Bound(np.nan, np.nan, np.nan)
    return student(np.asarray(values, dtype=np.float64), suite.level)


def _named(name: str, bound: Bound) -> dict[str, float]:
    return {name: bound.mean, f"{name}_low": bound.low, f"{name}_high": bound.high}


ORDER = f"by verdict ({', '.join(VERDICTS)}), then by the gap of one device, the smallest first"
"""What the rows of a leaderboard are ordered by, in words."""


def ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of a leaderboard by verdict, then by the share that one device gains."""
    place = rows["verdict"].map(VERDICTS.index)
    keyed = rows.assign(_place=place).sort_values(
        ["_place", "ic_gap_share", "rule"], kind="stable", ignore_index=True
    )
    return keyed.drop(columns="_place")


def answer(row: dict[str, Any], suite: Suite) -> str:
    """Return what a row says, in one sentence."""
    gap = (
        f"{row['best_deviation']} {number(row['ic_gap_share'], 0)} % of an honest payoff "
        f"({number(row['ic_gap_share_low'], 0)} to {number(row['ic_gap_share_high'], 0)})"
    )
    if row["deviations"] == "profitable":
        return f"{row['rule']}: deviating pays a single device: {gap}."
    if row["sybils"] == "profitable":
        return f"{row['rule']}: splitting into identities pays; of single devices at most: {gap}."
    if row["coalitions"] == "profitable":
        return (
            f"{row['rule']}: {row['coalition']} devices gain together by {row['best_coalition']}; "
            f"of single devices at most: {gap}."
        )
    if row["verdict"] == "undecided":
        return f"{row['rule']}: undecided. Nothing was found to pay; at most: {gap}."
    tolerance = f"{100 * suite.tolerance:g} %"
    return (
        f"{row['rule']}: nothing in the suite pays more than {tolerance} of an honest payoff; "
        f"at most: {gap}."
    )
