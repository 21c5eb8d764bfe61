"""Balances of a market's contributors and the accuracy of its model over time.

As the figure of the authors' README: balances in per cent of the start, accuracy in per cent, and
the accuracy of a model trained on all data.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.base import ADVERSARY, HONEST, LINE, NEUTRAL, SMALL, Figure
from experiments.figures.panels import name_lines
from experiments.runresult import RunResult

DAY_S = 86_400.0
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
    return lines.assign(days=0.0, percent=100.0)


def draw(table: pd.DataFrame, axes: Axes) -> None:
    """Draw a line per contributor, the accuracy, and the ray of the baseline."""
    looks = {
        "honest": (HONEST, "-", 0.9),
        "adversary": (ADVERSARY, "-", 1.3),
        ACCURACY: (LINE, "-", 1.3),
        BASELINE: (NEUTRAL, (0, (4, 2)), 1.0),
    }
    sheet = axes.get_figure(root=True)
    assert sheet is not None
    ends = []
    for kind, (color, dash, width) in looks.items():
        part = table[table["kind"] == kind]
        for _, line in part.groupby("line", sort=False):
            axes.plot(line["days"], line["percent"], color=color, linestyle=dash, linewidth=width)
        if kind == BASELINE:
            _name_inside(axes, part, color)
        elif len(part):
            last = part[part["days"] == part["days"].max()]["percent"].median()
            ends.append((float(table["days"].max()), float(last), kind, color))
    axes.set(xlabel="simulated days", ylabel="per cent")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    name_lines(sheet, {axes: ends})


def _name_inside(axes: Axes, ray: pd.DataFrame, color: str) -> None:
    """Write the name of the baseline below its ray: beside it the accuracy has its name."""
    if len(ray):
        place = (ray["days"].max() / 2, ray["percent"].iloc[0])
        axes.annotate(
            BASELINE,
            place,
            (0, -3),
            textcoords="offset points",
            color=color,
            fontsize=SMALL,
            ha="center",
            va="top",
        )


FIGURE = Figure(
    name="returns",
    title="Balances and accuracy over time",
    caption=(
        "Balance of each contributor in per cent of what it held at the start, accuracy of the "
        "model on the hidden test set, and that of the same model trained on all samples with "
        "their true labels."
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
