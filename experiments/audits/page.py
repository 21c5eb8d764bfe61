"""The page of an audit: the answer, how sure it is, then what it rests on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from experiments import confidence
from experiments.audits.audit import Audit
from experiments.audits.figures import gains_panel
from experiments.audits.portrait import Fault
from experiments.audits.race import Finding
from experiments.audits.settings import CLAIMS
from experiments.loader import dumps
from experiments.numerals import how_many, number, rounded, with_interval
from experiments.reports.page import Gallery, Section, page
from experiments.rundir import write_file
from experiments.spreadsheet import csv_text

COUNTEREXAMPLE = "counterexample"
"""Name of the smallest scenario found, and of its run."""
SHOWN_ROUNDS = 6
ROWS = 60
"""Rows of a table on the page; the CSV has all."""


def answer(audit: Audit) -> list[str]:
    """Return what the audit found in sentences, the answer first."""
    return list(_lines(audit))


def _lines(audit: Audit) -> Iterator[str]:
    rule = audit.question.called
    said = [
        ("deviation", _of_deviations(audit)),
        ("sybils", _of_kind(audit, "sybils", "splitting into identities")),
        ("coalition", _of_kind(audit, "coalition", "colluding")),
    ]
    # What pays, and what fails for honest devices, comes first.
    texts = [text for kind, text in said if text and audit.verdict(kind) == "profitable"]
    texts += _of_faults(audit)
    texts += [text for kind, text in said if text and audit.verdict(kind) != "profitable"]
    yield f"{rule}: {texts[0]}"
    yield from (f"{text[0].upper()}{text[1:]}" for text in texts[1:])
    for finding in audit.of("search"):
        yield f"The attack that the search found: {_gain(finding)}; {finding.verdict}."
    s = audit.settings
    yield (
        f"This rests on {how_many(audit.runs, 'run')}; intervals hold for all variants together at "
        f"every moment with {100 * s.level:.4g} % ({confidence.ASSUMED[s.method]}). "
        f"{_power(audit)}{_unspent(audit)}"
    )


def _of_faults(audit: Audit) -> Iterator[str]:
    """Yield what fails for honest devices, without anybody who deviates."""
    if audit.claim("rationality") == "profitable" and audit.welfare is not None:
        paid = number(audit.welfare.payoff.mean, 0)
        yield f"honest devices lose by taking part, on average: {paid} base units per run."
    seen = audit.portrait
    if seen is None:
        return
    if audit.claim("inclusion") == "profitable" and seen.shut_out is not None:
        yield f"honest devices lose their place, {_share(seen.shut_out)} of them."
    if audit.claim("settlement") == "profitable":
        yield (
            f"units stay behind in the rule's escrows, {_share(seen.stuck)} of those that went in."
        )


def _share(fault: Fault) -> str:
    """Return in how many runs a fault was seen, and how large it was."""
    runs = f"in {fault.runs} of {how_many(fault.of, 'run')}"
    return f"{runs} {100 * fault.share:.3g} %"


def _first_profitable(findings: list[Finding]) -> int:
    return next(i for i, f in enumerate(findings) if f.verdict == "profitable")


def _of_deviations(audit: Audit) -> str:
    """Return what was found of deviations of one device."""
    alone, epsilon = audit.counted("deviation"), number(audit.epsilon, 0)
    verdict = audit.verdict("deviation")
    tried = audit.of("deviation")
    if verdict == "profitable":
        return f"deviating pays. {_gain(alone[_first_profitable(alone)])}."
    if not tried and audit.least_budget > audit.settings.budget:
        known = how_many(len(audit.library.playable), "deviation")
        return (
            f"undecided: no deviation was tried. To try {known} once, an audit needs "
            f"{how_many(audit.least_budget, 'run')} at least (--budget {audit.least_budget})."
        )
    if verdict == "compatible":
        return (
            f"no deviation that was tried pays a single device more than {epsilon} base units per "
            f"run ({how_many(len(alone), 'deviation')})."
        )
    if verdict == "undecided":
        count = sum(f.verdict == "undecided" for f in alone)
        return (
            f"undecided. No deviation was found to pay a single device, and {count} of "
            f"{len(alone)} are not excluded yet."
        )
    if audit.library.playable:
        return "no deviation could be played to its end: the notes say why."
    return "no deviation can be played here."


def _of_kind(audit: Audit, kind: str, word: str) -> str:
    """Return what was found of sybils or coalitions; "" where there are none."""
    found = audit.counted(kind)
    verdict = audit.verdict(kind)
    if verdict == "profitable":
        paying = [f for f in found if f.verdict == "profitable"]
        text = f"{word} pays: {_gain(paying[0])}."
        if kind == "coalition":
            smallest = min(f.entry.size for f in paying)
            text += f" The smallest profitable coalition that was found has {smallest} members."
        return text
    if verdict == "compatible":
        return f"{word} does not pay more than {number(audit.epsilon, 0)} base units per run."
    return f"{word}: undecided." if verdict == "undecided" else ""


def _gain(finding: Finding) -> str:
    bound = finding.bound
    interval = ""
    if math.isfinite(bound.low):
        interval = f" ({number(bound.low, 0)} to {number(bound.high, 0)})"
    return f"{finding.name} gains {number(bound.mean, 0)}{interval} base units per run"


def _power(audit: Audit) -> str:
    if not math.isfinite(audit.power):
        return "These runs are too few to see a gain of any size in all deviations."
    return (
        f"A deviation that gains {number(audit.power, 0)} base units per run or more would have "
        f"been found with {100 * audit.settings.level:.4g} %."
    )


def _unspent(audit: Audit) -> str:
    """Return how many runs are left, and why; "" where they are not missed."""
    if not audit.left or not audit.next_stage:
        return ""
    left = f"{audit.left} of {audit.settings.budget:,}"
    return (
        f" Runs left: {left}, too few for one more of each variant that is undecided and of what "
        f"it is compared with ({audit.next_stage:,})."
    )


# --- the page -----------------------------------------------------------------------------------


def write_page(audit: Audit, folder: Path, command: str) -> Path:
    """Write `audit.html` with its figure and tables as CSV; return its path."""
    frame = audit.frame()
    write_file(folder / "findings.csv", csv_text(frame))
    write_file(folder / "gains-by-seed.csv", csv_text(audit.gains_frame()))
    panel = gains_panel(audit, folder, command)
    panels = [panel] if panel else []
    parts: list[Section | Gallery] = [
        Section("Answer", lines=tuple(answer(audit))),
        Section("Claims", claims_frame(audit)),
        Gallery(panels, heading=""),
        *_tables(audit),
        Section("Scenario", pre=(folder / "scenario.toml").read_text(encoding="utf-8")),
    ]
    question = audit.question
    subtitle = " · ".join(
        [
            f"{question.registry.one} under {question.scenario.protocol}",
            how_many(question.scenario.devices, "device"),
            how_many(question.scenario.rounds, "round"),
            how_many(audit.runs, "run"),
        ]
    )
    path = folder / "audit.html"
    write_file(path, page(f"Audit of {question.called}", subtitle, parts))
    return path


def claims_frame(audit: Audit) -> pd.DataFrame:
    """Return what can be claimed of a rule, what was found, and whether it was claimed."""
    outcomes = {"profitable": "fails", "compatible": "holds"}
    rows = []
    for name, meaning in CLAIMS.items():
        found = audit.claim(name)
        claimed = "yes" if name in audit.settings.claims else "no"
        rows.append((meaning, outcomes.get(found, found), claimed))
    return pd.DataFrame(rows, columns=["claim", "found", "claimed"])


def _tables(audit: Audit) -> Iterator[Section]:
    headings = {
        "deviation": "Deviations of one device",
        "sybils": "Identities of one operator",
        "coalition": "Coalitions",
        "search": "Attack found by search",
    }
    notes = {
        "deviation": "Every behaviour of the library that can be played here, most first.",
        "sybils": "What the identities have together, over what their operator has as one.",
        "coalition": "Mean gain of a member.",
        "search": "Scored on seeds that the search had not seen.",
    }
    frame = audit.frame()
    for kind, heading in headings.items():
        rows = frame[frame["kind"] == kind].sort_values("gain", ascending=False)
        if rows.empty:
            continue
        shown = rows[["variant", "seeds"]].copy()
        shown.insert(1, "gain", with_interval(rows, "gain"))
        shown["verdict"] = rows["verdict"]
        yield Section(heading, shown.head(ROWS), note=f"{notes[kind]} Base units per run.")
    yield from _curves(audit)
    yield from _prices(audit)
    yield from _remedies(audit)
    yield from _smallest(audit)
    yield from _welfare(audit)
    yield from _portrait(audit)
    if audit.properties:
        tried = [
            (p.name, p.meaning, "holds" if p.holds else p.counterexample) for p in audit.properties
        ]
        table = pd.DataFrame(tried, columns=["property", "meaning", "found"])
        note = "Of the rule itself, on blocks that were generated; the smallest counterexample."
        yield Section("Properties", table, note=note)
    if audit.library.refused:
        reasons = list(audit.library.refused.items())
        table = pd.DataFrame(reasons, columns=["deviation", "why it cannot be played here"])
        yield Section("Not played", table)
    if audit.notes:
        yield Section("Notes", lines=("", *audit.notes))


def _curves(audit: Audit) -> Iterator[Section]:
    """Yield what one deviation gains along a parameter, or a key, in the order of its values."""
    points = {point.name: point for point in audit.curves}
    rows = audit.frame().set_index("variant")
    played = [name for name in points if name in rows.index]
    if not played:
        return
    found = rows.loc[played].reset_index()
    shown = pd.DataFrame(
        {
            "curve": [points[name].curve for name in played],
            "value": [str(points[name].value) for name in played],
            "gain": with_interval(found, "gain"),
            "verdict": found["verdict"],
        }
    )
    yield Section(
        "Along a curve",
        shown,
        note="One device, base units per run: how far a report may be from the truth before it "
        "pays or stops paying, and a deviation under a changed key.",
    )


def _prices(audit: Audit) -> Iterator[Section]:
    prices = audit.identity_prices()
    if prices.empty:
        return
    shown = prices[["variant"]].copy()
    shown["price"] = with_interval(prices, "price")
    yield Section(
        "Price of an identity that stops splitting",
        rounded(shown),
        note="Gain of k identities / (k − 1), base units; 0: it does not pay anyway.",
    )


def _remedies(audit: Audit) -> Iterator[Section]:
    if not audit.remedies:
        return
    rows = [
        (
            r.lever,
            "none tried is enough" if math.isnan(r.enough) else number(r.enough, 0),
            "" if math.isnan(r.little) else number(r.little, 0),
            f"{number(r.gain.mean, 0)} ({number(r.gain.low, 0)} to {number(r.gain.high, 0)})",
        )
        for r in audit.remedies
    ]
    columns = ["lever", "least with a gain within epsilon", "too little", "mean gain then"]
    yield Section(
        f"What stops {audit.remedies[0].deviation}",
        pd.DataFrame(rows, columns=columns),
        note="By doubling, then by halving the gap, over the same few seeds: means, with 95 % "
        "intervals (Student). Base units.",
    )


def _smallest(audit: Audit) -> Iterator[Section]:
    found, worst = audit.smallest, audit.worst
    if found is None or worst is None:
        return
    scenario = found.deviating
    line = (
        f"{worst.name} pays with {how_many(scenario.devices, 'device')} in "
        f"{how_many(scenario.rounds, 'round')}: {number(found.gain.mean, 0)} "
        f"({number(found.gain.low, 0)} to {number(found.gain.high, 0)}) base units per run, "
        f"{number(found.gain_at, 0)} with seed {scenario.seed}."
    )
    lines = [line]
    if audit.replayed:
        lines.append(f"Its run, repeated on a dev chain: {audit.replayed}.")
    yield Section(
        "The smallest scenario found in which it pays",
        lines=tuple(lines),
        pre="fedstake run counterexample.toml --out deviating\n"
        "fedstake run counterexample-honest.toml --out honest\n"
        "fedstake replay deviating\n",
    )


def _welfare(audit: Audit) -> Iterator[Section]:
    w = audit.welfare
    if w is None:
        return
    rows = [
        ("payoff of a device, base units per run", _interval(w.payoff, 0)),
        ("share of devices worse off than outside", _interval(w.worse, 2)),
        ("inequality of payoffs (Gini)", number(w.gini, 3)),
    ]
    table = pd.DataFrame(rows, columns=["measure", "when nobody deviates"])
    yield Section(
        "Honest devices",
        table,
        note=f"{how_many(w.runs, 'run')}, {100 * audit.settings.level:.4g} % intervals.",
    )


def _portrait(audit: Audit) -> Iterator[Section]:
    """Yield how honest devices fare by role and kind, over time, and how fairly."""
    seen = audit.portrait
    if seen is None:
        return
    level = f"{100 * audit.settings.level:.4g} % intervals"
    lines = []
    if seen.shut_out is not None:
        out = seen.shut_out
        lines.append(
            f"In {out.runs} of {how_many(out.of, 'run')} an honest device had lost its place by "
            f"the end ({100 * out.share:.3g} % of the honest devices)."
        )
    stuck = seen.stuck
    lines.append(
        f"In {stuck.runs} of {how_many(stuck.of, 'run')} units stayed behind in the rule's escrows "
        f"({100 * stuck.share:.3g} % of those that went in)."
    )
    if seen.fairness is not None:
        lines.append(
            f"Shares of pay differ from those of Shapley values by {_interval(seen.fairness, 2)} "
            "in sum (0 fair, 2 most unfair)."
        )
    kinds = [(k.name, _interval(k.payoff, 0), _interval(k.others, 0)) for k in seen.kinds]
    if kinds:
        yield Section(
            "Kinds of honest devices",
            pd.DataFrame(kinds, columns=["kind", "payoff of a device", "of the others"]),
            lines=("", *lines),
            note=f"Base units per run, {level}: the quarter of devices that is most of a kind, "
            "in runs in which devices differ in it.",
        )
    else:
        yield Section("Place and fairness", lines=("", *lines))
    roles = seen.roles[["role"]].copy()
    roles["payoff"] = with_interval(seen.roles, "payoff")
    roles["share that loses"] = [number(value, 2) for value in seen.roles["losing"]]
    yield Section(
        "Roles of honest devices", roles, note=f"Base units per device and round, {level}."
    )
    yield Section(
        "Over the rounds",
        _chosen_rounds(seen.time),
        note="Gini coefficient of what honest devices hold and have locked; base units issued and "
        "burned in the round.",
    )


def _chosen_rounds(time: pd.DataFrame) -> pd.DataFrame:
    """Return some rounds from the first to the last, as text."""
    last = len(time) - 1
    chosen = sorted({round(last * part / (SHOWN_ROUNDS - 1)) for part in range(SHOWN_ROUNDS)})
    shown = time.iloc[chosen]
    return pd.DataFrame(
        {
            "round": [str(int(r)) for r in shown["round"]],
            "inequality (Gini)": [number(value, 3) for value in shown["gini"]],
            "issued": [number(value, 0) for value in shown["issued"]],
            "burned": [number(value, 0) for value in shown["burned"]],
        }
    )


def _interval(bound: confidence.Bound, decimals: int) -> str:
    low, high = number(bound.low, decimals), number(bound.high, decimals)
    return f"{number(bound.mean, decimals)} ({low} to {high})"


def write_counterexample(audit: Audit, folder: Path) -> None:
    """Write the smallest scenario found, and the one that it is compared with."""
    found = audit.smallest
    if found is None:
        return
    scenarios = {COUNTEREXAMPLE: found.deviating, f"{COUNTEREXAMPLE}-honest": found.honest}
    for name, scenario in scenarios.items():
        write_file(folder / f"{name}.toml", dumps(scenario.replace(name=name)))
