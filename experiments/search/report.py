"""The report of a search: the answer, the history, the winner's curse, the tables."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from experiments.figures.base import ACCENT, ADVERSARY, LINE, NEUTRAL, SCREEN, blank, style
from experiments.numerals import how_many
from experiments.reports.page import Gallery, Panel, Section, page, save
from experiments.rundir import write_file
from experiments.search.found import Found

ROWS = 400
"""Rows of a table on the page; the CSV has all."""
WIDTH = 4.6
"""Inches of a figure with one panel."""
CUT = 0.5
"""How far below 0 and above 1 shares of the variance are drawn."""
LEGEND = {
    "in_search": "mean under the seeds of the search",
    "fresh": "mean under seeds that the search has not seen",
    "low": "lower end of the interval of fresh",
    "high": "upper end",
    "seeds": "how many fresh seeds",
}
TRIALS = {
    "score": "the mean over the seeds of the search",
    "why": "why there is none",
    "gain_high": "upper end of the largest gain of a deviation",
    "holds": "whether that is not above epsilon",
}
INDICES = {
    "mu_star": "mean absolute change of the value over a step of the range (Morris)",
    "mu_star_conf": "half of its interval",
    "mu": "mean change with its sign",
    "sigma": "spread of the changes: interactions, or a curved answer",
    "S1": "share of the variance that the key explains alone (Sobol)",
    "ST": "share with all its interactions",
    "S1_conf": "half of the interval of S1",
    "ST_conf": "half of the interval of ST",
}


def report(found: Found, folder: Path, command: Sequence[str]) -> Path:
    """Write the figures of a search and `report.html` into a folder that is there."""
    drawn = {
        "history": ("Best score so far", _history, _CAPTIONS["history"]),
        "fresh": ("In the search and on fresh seeds", _fresh, _CAPTIONS["fresh"]),
        "sensitivity": ("What each key matters", _sensitivity, _CAPTIONS["sensitivity"]),
    }
    panels = []
    with style():
        for name, (title, draw, caption) in drawn.items():
            table = found.frames.get(name, pd.DataFrame())
            if len(table):
                panels.append(_panel(found, table, folder, name, title, draw, caption, command))
    parts: list[Section | Gallery] = [Section("Answer", lines=found.lines)]
    if found.toml:
        heading = "The answer, to be pasted into a scenario"
        parts.append(Section(heading, pre=found.toml, note="answer.toml is the whole scenario."))
    parts += [Gallery(panels, heading=""), *_tables(found)]
    subtitle = f"{how_many(found.runs, 'run')} · {found.of}"
    target = folder / "report.html"
    write_file(target, page(found.name, subtitle, parts))
    return target


_CAPTIONS = {
    "history": (
        "Points: the trials that could be played; of parameters those under which honesty held. "
        "Line: the best score until then."
    ),
    "fresh": (
        "Open circle: the score in the search, the best of many. Full circle: the mean on fresh "
        "seeds with its interval. What lies between them is the winner's curse."
    ),
    "sensitivity": (
        "Bars: index of each key, with its interval; the longer, the more it matters. An interval "
        "of a share that leads out of the figure says that the samples were too few."
    ),
}
Draw = Callable[[Found, pd.DataFrame, float], Canvas]


def _panel(
    found: Found,
    table: pd.DataFrame,
    folder: Path,
    name: str,
    title: str,
    draw: Draw,
    caption: str,
    command: Sequence[str],
) -> Panel:
    return save(
        draw(found, table, WIDTH),
        table,
        folder,
        name,
        title,
        caption,
        shlex.join(command),
        small=draw(found, table, SCREEN),
    )


def _tables(found: Found) -> list[Section]:
    headings = {
        "fresh": ("Scores in the search and on fresh seeds", LEGEND),
        "sensitivity": ("Sensitivity", INDICES),
        "trials": ("Trials", TRIALS),
    }
    sections = []
    for name, (heading, legend) in headings.items():
        table = found.frames.get(name, pd.DataFrame())
        if len(table):
            note = f"All {len(table):,} rows: {name}.csv."
            known = {key: text for key, text in legend.items() if key in table}
            sections.append(Section(heading, shown(table).head(ROWS), note=note, legend=known))
    return sections


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table for reading: empty columns left out, what is missing as a dash."""
    kept = table.loc[:, [not _empty(table[column]) for column in table.columns]].copy()
    for column in kept.columns:
        if kept[column].dtype.kind not in "iuf":
            kept[column] = _readable(kept[column])
    return kept


def _readable(column: pd.Series) -> pd.Series:
    """Return a column as numbers where all of it is, else as words: yes, no, a dash for nothing."""
    given = column.dropna()
    if not given.map(lambda value: isinstance(value, bool | str)).any():
        return pd.to_numeric(column, errors="coerce") if _numeric(given) else column.astype(str)
    words = column.map({True: "yes", False: "no"}).fillna(column)
    return words.fillna("–").astype(str)


def _numeric(given: pd.Series) -> bool:
    return bool(given.map(lambda value: isinstance(value, int | float)).all())


def _empty(column: pd.Series) -> bool:
    return bool((column.isna() | column.astype(str).eq("")).all())


# --- figures ------------------------------------------------------------------------------------


def _history(found: Found, table: pd.DataFrame, width: float) -> Canvas:
    """Draw the score of each trial and the best one so far, a panel for each search."""
    names = table["search"].unique().tolist()
    sheet = blank(width, 0.4 + 1.9 * len(names))
    for place, name in enumerate(names, start=1):
        axes = sheet.add_subplot(len(names), 1, place)
        own = table[table["search"] == name]
        axes.plot(own["trial"], own["score"], "o", color=NEUTRAL, markersize=3, alpha=0.7)
        axes.plot(own["trial"], own["best"], "-", color=LINE, drawstyle="steps-post")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.set_ylabel("cost" if name.startswith("parameters") else "gain")
        if len(names) > 1:
            axes.set_title(name, loc="left")
        if place == len(names):
            axes.set_xlabel("trial")
    return sheet


def _fresh(found: Found, table: pd.DataFrame, width: float) -> Canvas:
    """Draw scores in the search beside those on fresh seeds, a row each."""
    sheet = blank(width, 0.9 + 0.32 * len(table))
    axes = sheet.add_subplot()
    rows = np.arange(len(table))[::-1]
    finite = table[["low", "high"]].replace([np.inf, -np.inf], np.nan)
    low = (table["fresh"] - finite["low"]).fillna(0.0)
    high = (finite["high"] - table["fresh"]).fillna(0.0)
    axes.axvline(0, color="#999999", linewidth=0.8)
    axes.errorbar(
        table["fresh"], rows, xerr=[low, high], fmt="o", color=ADVERSARY, capsize=2, markersize=4,
        label="fresh seeds",
    )  # fmt: skip
    axes.plot(
        table["in_search"], rows, "o", markerfacecolor="none", color=LINE, markersize=6,
        label="in the search",
    )  # fmt: skip
    axes.set_yticks(rows, table["what"].astype(str).tolist())
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.set_xlabel("gain" if found.of.startswith("cost") else found.of)
    sheet.legend(loc="outside upper left", ncols=2)
    return sheet


def _sensitivity(found: Found, table: pd.DataFrame, width: float) -> Canvas:
    """Draw a bar for each index of each key, the largest key first."""
    indices = [name for name in ("mu_star", "ST", "S1") if name in table]
    sheet = blank(width, 0.9 + 0.3 * len(table) * len(indices))
    axes = sheet.add_subplot()
    rows = np.arange(len(table))[::-1]
    height = 0.7 / len(indices)
    colours = {"mu_star": ACCENT, "ST": ACCENT, "S1": NEUTRAL}
    for place, name in enumerate(indices):
        at = rows + 0.35 - height * (place + 0.5)
        _bars(axes, at, table[name], table[f"{name}_conf"], height, colours[name], name)
    axes.set_yticks(rows, table["key"].astype(str).tolist())
    axes.set_xlabel(_AXES[indices[0]])
    if "ST" in indices:
        # Shares: intervals of too few samples would leave no room for them.
        left, right = axes.get_xlim()
        axes.set_xlim(max(left, -CUT), min(right, 1 + CUT))
    if len(indices) > 1:
        sheet.legend(loc="outside upper left", ncols=2)
    return sheet


_AXES = {
    "mu_star": "mean absolute change over a step (Morris)",
    "ST": "share of the variance (Sobol)",
}


def _bars(
    axes: Axes, at: Any, values: pd.Series, half: pd.Series, height: float, colour: str, name: str
) -> None:
    label = {"ST": "with interactions (ST)", "S1": "alone (S1)"}.get(name, name)
    axes.barh(
        at, values, height=height, xerr=half.fillna(0.0), color=colour, label=label,
        error_kw={"elinewidth": 0.8, "capsize": 2, "ecolor": LINE},
    )  # fmt: skip
