"""The authors' figure, and what happens where the published design fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from experiments.figures import returns
from experiments.figures.base import ADVERSARY, HONEST, NEUTRAL
from experiments.intervals import band
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.paper import PaperFigure
from experiments.reproduce.sum import flaws
from experiments.reproduce.sum.files import ITSELF
from experiments.reproduce.sum.measures import PERCEPTRON, PLACES, baseline, on_file

PANELS = {
    "preset": "generated data, as published",
    "matched": "as published, data with the published baseline",
    "unlocked": "generated data, real seconds",
    ITSELF: "imdb.npz, as published",
}
KNOWN = {
    "preset": baseline("imdb-like", PERCEPTRON),
    "matched": baseline("imdb-matched", PERCEPTRON),
    "unlocked": baseline("imdb-like", PERCEPTRON),
    ITSELF: on_file("imdb.npz", PERCEPTRON),
}
TABLES = ("rounds", "participants", "accuracies")
COLUMNS = ["arm", "seed", "days", "line", "kind", "percent"]


# --- f1: balances and accuracy --------------------------------------------------------------------


def returns_data(evidence: Evidence) -> pd.DataFrame:
    """Return the lines of figure `returns` of every seed, per arm."""
    parts = []
    for arm in PANELS:
        tables = {name: evidence.of([arm], name, PLACES[arm]) for name in TABLES}
        if all(len(table) for table in tables.values()):
            parts += _lines(arm, tables, KNOWN[arm](evidence))
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame()


def _lines(
    arm: str, tables: Mapping[str, pd.DataFrame], known: Sequence[float]
) -> list[pd.DataFrame]:
    """Return the lines of each seed of an arm."""
    found = []
    for seed in sorted(set(tables["rounds"]["seed"])):
        rounds, people, accuracies = (t[t["seed"] == seed] for t in tables.values())
        lines = returns.lines(rounds, people, accuracies, known[0] if known else None)
        found.append(lines.assign(arm=arm, seed=seed))
    return found


def draw_returns(table: pd.DataFrame, sheet: Canvas) -> None:
    """Draw a panel per arm: the first seed as the authors draw one run, the band over all."""
    arms = [arm for arm in PANELS if arm in set(table["arm"])]
    sheet.set_size_inches(4.2 * len(arms) + 0.6, 3.8)
    panels = sheet.subplots(1, len(arms), sharey=True, squeeze=False)[0]
    for axes, arm in zip(panels, arms, strict=True):
        part = table[table["arm"] == arm]
        first = part["seed"] == part["seed"].min()
        returns.draw(part[first], axes, returns.limits_of(table))
        _bands(part, axes)
        axes.set_title(PANELS[arm], loc="left", fontsize=9)
    for axes in panels[1:]:
        axes.set_ylabel("")


def _bands(table: pd.DataFrame, axes: Axes) -> None:
    """Draw what lies between the lowest and the highest seed around each balance."""
    for kind, color in (("honest", HONEST), ("adversary", ADVERSARY)):
        balances = table[table["kind"] == kind].groupby("days")["percent"]
        low, high = balances.min(), balances.max()
        axes.fill_between(low.index, low, high, color=color, alpha=0.2, linewidth=0)


RETURNS = PaperFigure(
    "f1-returns",
    "The README figure. Balances in per cent of the start, accuracy of the model, and that of the "
    "same model fitted to all data: lines of the first seed, bands from the lowest to the highest "
    "seed. What nobody has claimed when the data run out is swept nine days later, by whoever "
    "comes first.",
    "good to about 197 %, bad to about 1 % (ruined at about day 123 of 156), accuracy 78 to "
    "79.5 % against 79.5 % when trained on all data; IMDB, 1,000 words (simulation/README, "
    "1558466743_plot.png).",
    returns_data,
    draw_returns,
)


# --- f2: griefing ---------------------------------------------------------------------------------


def griefing_data(evidence: Evidence) -> pd.DataFrame:
    """Return per seed the share of honest data that is refused, by what the griefer does."""
    rows = [
        {"arm": arm, "gap": gap, "run": run, "refused": refused}
        for arm, gap in flaws.GAPS.items()
        for run, refused in enumerate(flaws.priced_out(arm)(evidence))
    ]
    return pd.DataFrame(rows)


def draw_griefing(table: pd.DataFrame, sheet: Canvas) -> None:
    """Draw a dot per run, the mean and its interval for each gap."""
    axes = sheet.add_subplot()
    gaps = list(dict.fromkeys(table["gap"]))
    for x, gap in enumerate(gaps):
        values = table.loc[table["gap"] == gap, "refused"].to_numpy(dtype=float)
        low, high = band(values)
        axes.scatter([x] * len(values), values, s=14, color=NEUTRAL, alpha=0.6, lw=0)
        axes.plot([x - 0.18, x + 0.18], [values.mean()] * 2, color=HONEST)
        if not np.isnan(low):
            axes.plot([x, x], [low, high], color=HONEST, linewidth=3, alpha=0.35)
    names = [f"every {gap} s" if gap.isdigit() else gap for gap in gaps]
    axes.set_xticks(range(len(gaps)), names)
    axes.set(xlabel="a griefer adds a datum", ylabel="honest data refused", ylim=(0, 1))


GRIEFING = PaperFigure(
    "f2-griefing",
    "Ours. Share of the data of honest contributors that is refused, who offer 50 tokens on "
    "average: a dot per run, mean and 95 % interval.",
    "nothing; by the formula a datum costs 60 tokens within three seconds of the last one.",
    griefing_data,
    draw_griefing,
)

FIGURES = (RETURNS, GRIEFING)
