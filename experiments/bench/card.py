"""Mechanism cards: a page on one payout rule, as Markdown for the reference and as HTML.

What it pays for, what it sees, who gains under it, what it costs, what is certified and claimed of
it, and where it is from.
"""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.bench.board import shown_rows
from experiments.bench.row import ORDER, answer
from experiments.bench.suite import Suite
from experiments.claims.claim import FOLDER, Claim, read
from experiments.claims.page import mean_text
from experiments.numerals import number
from experiments.reports.page import Section
from mechanisms.payouts.base import PayoutRule
from mechanisms.vocabulary import BlockObservation

RESULTS = Path(__file__).parents[2] / "results"
MEASURED = RESULTS / "reference" / "claims.csv"
"""What was measured of the claims of the register."""
CERTIFICATES = RESULTS / "certificates"
"""Folder of certificates of shipped rules, `NAME.toml` each, as `fedstake audit` writes them."""
LEADING = 6
"""Variants of a kind that are shown, those that gain most."""
KINDS = {
    "deviation": "one device",
    "sybils": "an operator with several identities",
    "coalition": "a member of a coalition",
}
SEEN = re.compile(r'^"(\w+)"\s+(.+?)(?=^"|\Z)', re.DOTALL | re.MULTILINE)
"""A name in the docstring of an observation, and what it shows."""
SPECIAL = re.compile(r"[\\`*\[\]<>|]|(?<!\w)_|_(?!\w)")
"""What Markdown takes for its own; an underscore inside a word means itself."""


def sections_of(
    rule: type[PayoutRule],
    row: Mapping[str, Any] | None,
    gains: pd.DataFrame,
    suite: Suite,
    settings: Mapping[str, Any] | None = None,
    given: str = "",
) -> list[Section]:
    """Return the parts of a rule's card.

    Args:
        rule: its class.
        row: of the leaderboard; None for a rule that is not in it.
        gains: what each variant gains under it.
        suite: that both are from.
        settings: parameters of the rule and parts around it, as a scenario's table `payout` has
            them (default: its defaults, and no parts).
        given: what commands call the rule (default: its name): one by path is found by no name.
    """
    word = shlex.quote(given or rule.name)
    params = {} if settings is None else dict(settings["params"])
    parts = [] if settings is None else [part["part"] for part in settings["parts"]]
    said: tuple[str, ...] = ("Not measured yet.", f"fedstake bench {word} measures it.")
    measured: list[Section] = []
    if row is not None:
        said = (answer(dict(row), suite), _basis(row, suite))
        measured = [
            *_who_gains(gains),
            Section("Honest devices", _honest(row), head=False),
            Section("What it costs", _costs(row), head=False),
        ]
    return [
        Section("Answer", lines=said),
        Section("What it pays for", lines=tuple(_about(rule, parts))),
        Section(
            "What it sees",
            _seen(rule, params),
            note="Every payout rule sees who sent an update, "
            "whether it was accepted, and its own memory.",
            head=False,
        ),
        *measured,
        *_parameters(rule, params),
        Section("Certificate", lines=("", _certificate(rule, word))),
        _claims(rule),
        Section("Sources", lines=("", *_sources(rule, word))),
    ]


def _basis(row: Mapping[str, Any], suite: Suite) -> str:
    how = f"{row['on_tape']:,.0f} runs were paid on tapes, {row['played']:,.0f} played for it"
    return (
        f"Suite {suite.version} ({suite.hash}), protocol {row['protocol']}: {how}. Gains are means "
        f"over {row['cells']:.0f} paired runs in {len(suite.worlds)} worlds; intervals hold for "
        f"all variants together ({100 * suite.level:g} %, Student's t, Bonferroni)."
    )


def _about(rule: type[PayoutRule], parts: Sequence[str]) -> Iterator[str]:
    summary = rule.summary
    yield summary[:1].upper() + summary[1:] + "."
    for paragraph in inspect.cleandoc(rule.__doc__ or "").split("\n\n"):
        yield _plain(paragraph)
    if parts:
        yield f"Around it: {', '.join(parts)}."


def _plain(text: str) -> str:
    """Return a paragraph of a docstring in one line, without the marks of code."""
    return " ".join(text.replace("`", "").split())


def _seen(rule: type[PayoutRule], params: Mapping[str, Any]) -> pd.DataFrame:
    """Return what a rule asks to see, in the words of `BlockObservation`."""
    meanings = dict(SEEN.findall(inspect.getdoc(BlockObservation) or ""))
    observed = sorted(rule.configure(dict(params)).observes)
    rows = [(name, _plain(meanings[name])) for name in observed]
    return pd.DataFrame(rows or [("nothing more", "")], columns=["it asks for", "which is"])


def _who_gains(gains: pd.DataFrame) -> Iterator[Section]:
    for kind, whose in KINDS.items():
        rows = gains[gains["kind"] == kind].sort_values("gain", ascending=False, kind="stable")
        paying = int((rows["verdict"] == "profitable").sum())
        shown = rows.head(LEADING)
        table = pd.DataFrame(
            {
                "variant": shown["variant"],
                "gain": [_interval(r, "gain", 0) for r in shown.to_dict("records")],
                "% of a payoff": [number(share, 0) for share in shown["share"]],
                "verdict": shown["verdict"],
            }
        )
        count = f"{paying} of {len(rows)} variants certainly pay"
        note = f"{count}; the {len(shown)} that gain most, base units per run."
        yield Section(f"What {whose} gains", table, note=note)


def _interval(row: Mapping[Any, Any], name: str, decimals: int) -> str:
    low = row["low"] if name == "gain" else row[f"{name}_low"]
    high = row["high"] if name == "gain" else row[f"{name}_high"]
    if pd.isna(row[name]):
        return "–"
    texts = (number(value, decimals) for value in (row[name], low, high))
    return "{} ({} to {})".format(*texts)


def _honest(row: Mapping[str, Any]) -> pd.DataFrame:
    rows = [
        ("accuracy of the model at the end", _interval(row, "accuracy", 3)),
        ("income of a device, base units per run", _interval(row, "income", 0)),
        ("share of devices that lose by taking part", _interval(row, "losing", 2)),
        ("payoff of the device that has least", number(row["worst_payoff"], 0)),
        (f"inequality of incomes (Gini){_cells(row, 'gini')}", _interval(row, "gini", 2)),
        (
            f"distance to Shapley shares, 0 to 1{_cells(row, 'shapley_distance')}",
            _interval(row, "shapley_distance", 2),
        ),
    ]
    return pd.DataFrame(rows, columns=["measure", "when nobody deviates"])


def _cells(row: Mapping[str, Any], name: str) -> str:
    """Return in how many runs a measure is defined, "" for all of them."""
    known, all_ = int(row[f"{name}_cells"]), int(row["cells"])
    return "" if known == all_ else f", in the {known} of {all_} runs in which there is one"


def _costs(row: Mapping[str, Any]) -> pd.DataFrame:
    rows = [
        ("paid to all devices, base units per round", _interval(row, "budget", 0)),
        ("payments per round", number(row["payments"], 1)),
        ("fee per round, millionths of the native token", number(row["fee"], 1)),
    ]
    return pd.DataFrame(rows, columns=["cost", "amount"])


def _parameters(rule: type[PayoutRule], params: Mapping[str, Any]) -> Iterator[Section]:
    known = rule.metadata()["params"]
    if not known:
        return
    rows = []
    for p in known:
        unit = f" ({p['unit']})" if p["unit"] else ""
        value = params.get(p["name"], p["default"])
        rows.append((p["name"], str(value), f"{p['help']}{unit}"))
    note = "The row is measured with these values."
    table = pd.DataFrame(rows, columns=["parameter", "value", "meaning"])
    yield Section("Parameters", table, note=note)


def _certificate(rule: type[PayoutRule], word: str) -> str:
    """Return where the certificate of a rule is, `word` being what commands call the rule."""
    file = CERTIFICATES / f"{rule.name}.toml"
    if file.is_file():
        return f"results/certificates/{file.name}: fedstake verify plays a random part of it again."
    return f"None is kept. fedstake audit {word} makes one."


# --- claims -------------------------------------------------------------------------------------


def claims_about(
    name: str, folder: Path = FOLDER, numbers: Path = MEASURED
) -> list[dict[str, str]]:
    """Return the claims of the register about a rule: who says what, and what was measured.

    Args:
        name: of the rule.
        folder: of the claims.
        numbers: what was measured of them, as `docs/claims.py` writes it; a claim that is not in it
            has not been played.
    """
    measured = {}
    if numbers.is_file():
        rows = pd.read_csv(numbers).to_dict("records")
        measured = {row["claim"]: row for row in rows}
    found = []
    for file in sorted(folder.glob("*.toml")):
        claim = read(file)
        if name in claim.rules:
            row = measured.get(file.stem)
            found.append(_claim(file, claim, row))
    return found


def _claim(file: Path, claim: Claim, row: Mapping[Any, Any] | None) -> dict[str, str]:
    """Return the row of one claim in the table of a card."""
    found, verdict = "not played yet", "–"
    if row is not None:
        verdict = str(row["verdict"])
        found = mean_text(row["mean"], row["low"], row["high"], claim.measure.unit)
    return {
        "verdict": verdict,
        "claim": claim.says,
        "by": claim.who,
        "measured": found,
        "holds if": str(claim.measure.within),
        "file": file.name,
    }


def _claims(rule: type[PayoutRule]) -> Section:
    """Return what the register claims of a rule."""
    found = claims_about(rule.name)
    if not found:
        return Section("Claims", lines=("", "None about it is in the register."))
    return Section("Claims", pd.DataFrame(found), lines=("", f"{len(found)} in results/claims."))


# --- sources ------------------------------------------------------------------------------------


def _sources(rule: type[PayoutRule], word: str) -> Iterator[str]:
    yield f"{rule.reference}."
    where = rule.__module__
    if where.startswith("mechanisms."):
        yield f"Code: {where.replace('.', '/')}.py."
    yield f"Row: fedstake bench {word}."


# --- pages --------------------------------------------------------------------------------------


def markdown(title: str, sections: Iterable[Section], intro: str = "") -> str:
    """Return a card as Markdown."""
    lines = [f"# {title}", ""]
    if intro:
        lines += [intro, ""]
    for section in sections:
        lines += [f"## {section.heading}", ""]
        texts = [*section.lines, section.note]
        lines += [line for text in texts if text for line in (escaped(text), "")]
        if section.table is not None:
            lines += [*_rows(section.table, head=section.head), ""]
    return "\n".join(lines).rstrip() + "\n"


def _rows(table: pd.DataFrame, *, head: bool) -> Iterator[str]:
    names: Sequence[str] = [str(name) if head else "" for name in table.columns]
    yield f"| {' | '.join(names)} |"
    yield "|" + "---|" * len(names)
    for row in table.itertuples(index=False):
        yield f"| {' | '.join(escaped(str(value)) for value in row)} |"


def escaped(text: str) -> str:
    """Return text in which nothing is taken for Markdown or HTML."""
    return SPECIAL.sub(r"\\\g<0>", text.replace("\n", " "))


def index(rows: pd.DataFrame, suite: Suite, names: Sequence[str]) -> str:
    """Return the page of a leaderboard, as Markdown, with a link to the card of each rule.

    `names` are all rules that have a card; those that are not in the leaderboard are named.
    """
    missing = [f"[`{name}`]({name}.md)" for name in names if name not in set(rows["rule"])]
    shown = shown_rows(rows, suite)
    linked = [f"[`{name}`]({name}.md)" for name in shown["rule"]]
    found = ["verdict", "what pays", "best deviation", "gap %", "coalition"]
    found += [f"{k} ids" for k in suite.identities]
    measured = ["accuracy", "losing %", "budget", "Gini", "to Shapley", "fee"]
    cells = len(suite.cells())
    lines = [
        "# Mechanisms: the leaderboard and a card of each",
        "",
        "Written by `docs/generate.py` from `results/reference/leaderboard.csv`, which",
        "`fedstake bench --all --write results/reference` makes. What is measured, and how a rule",
        "of your own gets its row: [how to](../../how-to/put-a-rule-on-the-leaderboard.md).",
        "",
        f"Suite {suite.version} (`{suite.hash}`): {len(suite.worlds)} worlds, {len(suite.stakes)} "
        f"distributions of stake, {cells} paired runs of each variant.",
        "",
        "## Who gains",
        "",
        f"Rows stand {ORDER}.",
        "`what pays`: of all that certainly pays, what takes the fewest devices or identities;",
        "it makes the verdict. `best deviation` is of one device, whether it pays or not.",
        "`gap %` is the largest mean gain of one device that deviates, in per cent of an honest",
        f"device's mean absolute payoff, with its interval; gains up to {100 * suite.tolerance:g} "
        "% count as none.",
        "`coalition`: the fewest devices that certainly gain. `k ids`: base units that an operator",
        "gains as k identities.",
        "",
        *_linked(linked, shown[found]),
        "",
        "## What it is worth, and what it costs",
        "",
        "When nobody deviates: accuracy at the end, devices that lose by taking part, base units",
        "paid per round, inequality of incomes, distance to Shapley shares (0 to 1), and the fee",
        "of a round in millionths of the chain's token.",
        "",
        *_linked(linked, shown[measured]),
    ]
    if missing:
        lines += ["", f"Not measured yet: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def _linked(names: Sequence[str], table: pd.DataFrame) -> Iterator[str]:
    """Yield a table of Markdown with links in its first column."""
    yield f"| rule | {' | '.join(map(str, table.columns))} |"
    yield "|---|" + "---|" * len(table.columns)
    for name, row in zip(names, table.itertuples(index=False), strict=True):
        yield f"| {name} | {' | '.join(escaped(str(value)) for value in row)} |"
