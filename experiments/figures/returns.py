"""Balances of a market's contributors and the accuracy of its model over time.

As the figure of the authors' README: balances in per cent of the start, accuracy in per cent, and
the accuracy of a model trained on all data.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.base import (
    BESIDE_AXIS,
    DASHES,
    LINE,
    MARKERS,
    NEUTRAL,
    SIGNS,
    SMALL,
    WHO,
    Figure,
)
from experiments.figures.panels import name_lines
from experiments.labels import labels_of
from experiments.runresult import RunResult

DAY_S = 86_400.0
START = 100.0
"""Per cent that every balance begins with."""
MARGIN = 0.05
"""Part of the span of all percentages beyond the outermost ones."""
DEVICE = r" \d+$"
"""What the name of a contributor's line has after that of its group."""
ACCURACY, BASELINE = "accuracy", "trained on all data"


def data(run: RunResult) -> pd.DataFrame:
    """Return the lines of a run; see `lines`."""
    known = run.manifest.get("baseline_accuracy")
    baseline = known if isinstance(known, float) else None
    return lines(run.rounds, run.participants, run.table("accuracies"), baseline)


def lines(
    rounds: pd.DataFrame,
    participants: pd.DataFrame,
    accuracies: pd.DataFrame,
    baseline: float | None,
) -> pd.DataFrame:
    """Return one row per line and time: `days`, `line`, `kind`, `percent`.

    `kind` is "honest" or "adversary" for balances, else "accuracy" or "trained on all data".

    Args:
        rounds: with `round`, `end_s`; of one run, as the other tables.
        participants: with `round`, `device`, `group`, `adversary`, `percent`.
        accuracies: with `time_s`, `accuracy`.
        baseline: accuracy of a model that is trained on all data; None draws no ray.
    """
    people = participants[["round", "device", "group", "adversary", "percent"]]
    people = people.merge(rounds[["round", "end_s"]], on="round")
    who = people["adversary"].map({True: "adversary", False: "honest"}).astype(str)
    names = people["group"].astype(str) + " " + people["device"].astype(str)
    balances = pd.DataFrame(
        {
            "days": people["end_s"] / DAY_S,
            "line": names,
            "kind": who,
            "percent": people["percent"],
        }
    )
    measured = accuracies.sort_values("time_s")
    accuracy = pd.DataFrame(
        {
            "days": measured["time_s"] / DAY_S,
            "line": ACCURACY,
            "kind": ACCURACY,
            "percent": 100 * measured["accuracy"],
        }
    )
    parts = [_starts(balances), balances, accuracy]
    if baseline is not None:
        end = max(balances["days"].max(), accuracy["days"].max())
        ray = {"days": [0.0, end], "line": BASELINE, "kind": BASELINE, "percent": 100 * baseline}
        parts.append(pd.DataFrame(ray))
    return pd.concat(parts, ignore_index=True)


def _starts(balances: pd.DataFrame) -> pd.DataFrame:
    """Return a point at the start for every balance."""
    lines = balances[["line", "kind"]].drop_duplicates()
    return lines.assign(days=0.0, percent=START)


def draw(table: pd.DataFrame, axes: Axes, limits: tuple[float, float] | None = None) -> None:
    """Draw a line per contributor, the accuracy, and the ray of the baseline.

    Groups have dashes and marks of their own, and their name at the end, as the accuracy has.
    `limits` of the percentages are those of the table unless given, as for several panels.
    """
    sheet = axes.get_figure(root=True)
    assert sheet is not None
    end = float(table["days"].max())
    axes.axhline(START, color="#999999", linewidth=0.8, zorder=0.5)
    balances = table[table["kind"].isin(WHO)]
    groups = balances["line"].str.replace(DEVICE, "", regex=True)
    names = labels_of({"": list(dict.fromkeys(groups))}).drawn()
    ends = []
    for who, color in WHO.items():
        own = groups[balances["kind"] == who]
        for place, name in enumerate(dict.fromkeys(own)):
            part = balances.loc[own.index[own == name]]
            _draw_group(axes, part, color, place)
            ends.append((end, _last(part), f"{_sign(place)}{names.level('', name)}", color))
    accuracy = table[table["kind"] == ACCURACY]
    if len(accuracy):
        axes.plot(accuracy["days"], accuracy["percent"], color=LINE)
        ends.append((end, _last(accuracy), ACCURACY, LINE))
    ray = table[table["kind"] == BASELINE]
    axes.plot(ray["days"], ray["percent"], color=NEUTRAL, linestyle=(0, (4, 2)), linewidth=1.0)
    _name_inside(axes, ray, accuracy)
    axes.set(xlabel="simulated days", ylabel="per cent")
    axes.set_ylim(*(limits or limits_of(table)))
    beside = BESIDE_AXIS * end
    axes.set_xlim(-beside, end + beside)
    name_lines(sheet, {axes: ends})


def limits_of(table: pd.DataFrame) -> tuple[float, float]:
    """Return limits around all percentages; the start is always between them, and nothing is < 0.

    From zero they go only where the data do.
    """
    least = min(START, float(table["percent"].min()))
    most = max(START, float(table["percent"].max()))
    margin = MARGIN * ((most - least) or START)
    return max(min(least, 0.0), least - margin), most + margin


def _draw_group(axes: Axes, part: pd.DataFrame, color: str, place: int) -> None:
    """Draw the lines of a group; those of the first group of its kind are whole and unmarked."""
    dashes = DASHES[place % len(DASHES)]
    look: dict[str, Any] = {"color": color, "linestyle": dashes, "linewidth": 1.0}
    if place:
        look |= {"marker": MARKERS[place % len(MARKERS)], "markersize": 3.5}
    for _, line in part.groupby("line", sort=False):
        step = max(1, len(line) // 4)
        axes.plot(line["days"], line["percent"], **look, markevery=(place % step, step))


def _sign(place: int) -> str:
    """Return the mark of a group for its name: none of the first one of its kind."""
    return f"{SIGNS[place % len(SIGNS)]} " if place else ""


def _last(part: pd.DataFrame) -> float:
    """Return where the lines of a part end: the median at their last time."""
    return float(part.loc[part["days"] == part["days"].max(), "percent"].median())


def _name_inside(axes: Axes, ray: pd.DataFrame, accuracy: pd.DataFrame) -> None:
    """Write the name of the baseline at its ray, on the side where the accuracy does not end."""
    if ray.empty:
        return
    level = float(ray["percent"].iloc[0])
    above = accuracy.empty or _last(accuracy) <= level
    axes.annotate(
        BASELINE,
        (float(ray["days"].max()) / 2, level),
        (0, 2 if above else -3),
        textcoords="offset points",
        color=NEUTRAL,
        fontsize=SMALL,
        ha="center",
        va="bottom" if above else "top",
    )


FIGURE = Figure(
    name="returns",
    title="Balances and accuracy over time",
    caption=(
        "Balance of each contributor in per cent of what it held at the start, accuracy of the "
        "model on the hidden test set, and that of the same model trained on all samples with "
        "their true labels. Blue: honest contributors; orange: adversaries, with marks by group."
    ),
    needs={
        "rounds": ("round", "end_s"),
        "participants": ("round", "device", "group", "adversary", "percent"),
        "accuracies": ("time_s", "accuracy"),
    },
    data=data,
    draw=draw,
    order=11,
)
