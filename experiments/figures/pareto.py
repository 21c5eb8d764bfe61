"""Accuracy against adversaries' income: the trade-off of a mechanism's designer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.figures.base import (
    ACCENT,
    LEVELS,
    MARKERS,
    NEUTRAL,
    SMALL,
    Look,
    Sheet,
    SweepFigure,
    thousands,
)
from experiments.figures.factors import compared, concerns, continuous, crossed, each, ordered
from experiments.figures.gains import CAPTION, OWNED_NEEDS, asset, asset_of, gains, per_run
from experiments.figures.panels import CURVES, DRAWN_POINTS, Panel, multiples, name_points, words
from experiments.intervals import in_words, interval
from experiments.labels import Labels
from experiments.numerals import number
from experiments.results import Results, per_seed

VALUES = (
    "point",
    "beside",
    "seeds",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "gained",
    "gained_low",
    "gained_high",
    "front",
)
DRAWN = VALUES[VALUES.index("accuracy") :]
"""What a point looks like: those with the very same are one."""
WORDS = {"accuracy": "final test accuracy", "gained": "net income per adversary"}
LIMITS = {"accuracy": (0.0, 1.0), "gained": (-np.inf, np.inf)}
"""The least and the largest value that there can be: no interval goes beyond."""
MARK = 0.03
"""Part of an axis that a mark at its largest possible value needs beyond it."""
LETTER_OF_NAME = 0.57 * (SMALL + 0.5) / 72
"""Inches of a letter of a point's name, more or less."""
MOST_ROWS = 20
"""Most choices that are drawn one below the other."""
SAME = 1e-9
"""Part of the largest value below which a difference is the rounding of a sum."""
TITLES = {
    "accuracy": "Final accuracy of each choice",
    "gained": "Adversaries' income under each choice",
}
CAPTIONS = {
    "accuracy": "Final accuracy, a row for each choice: means over seeds; more is better. "
    "Green: no other choice has more.",
    "gained": "What an adversary earns, a row for each choice: means over seeds; less is better. "
    f"Green: no other choice lets adversaries earn less. {CAPTION}",
}
"""Of a drawing of one of the two outcomes, by the one that is drawn."""
BOTH = (
    "Final accuracy against what an adversary earns: means over seeds; better is up and to "
    "the left."
)


def data(results: Results) -> pd.DataFrame:
    """Return one row per attack and choice of the designer.

    It has means over seeds, each counted once, with 95 % intervals, and whether no other choice is
    better in both.
    """
    runs = results.outcomes().merge(per_run(gains(results)), on="run_id")
    runs = runs.rename(columns={"adversary_gained": "gained"})
    runs = ordered(results, runs.dropna(subset=["gained", "accuracy"]))
    if runs.empty or not runs["gained"].any():
        return pd.DataFrame()

    # Factors of the attack make panels, all others are the designer's choices and make points.
    axes = continuous(results)
    varied = [*crossed(results, runs), *axes]
    attacks = [f for f in varied if concerns(results, f, "adversaries")]
    choices = [f for f in varied if f not in attacks]
    marked = _marked(results, runs, choices)
    facets = [f for f in attacks if f not in axes][:2]
    if not choices:
        return pd.DataFrame()

    # One row per point, and whether it is on the front of its panel.
    rows = []
    labels = results.labels.drawn()
    for key, part in each(runs, [*facets, *choices]):
        levels = dict(zip([*facets, *choices], key, strict=True))
        shown = {f: levels[f] for f in (*facets, *marked)}
        rows.append(shown | _row(levels, choices, marked, labels, part))
    table = pd.DataFrame(rows).astype({f: runs[f].dtype for f in (*facets, *marked)})
    if len(table) < 2:
        return pd.DataFrame()
    table["front"] = False
    for _, part in each(table, facets):
        best = front(settled(part["gained"]), settled(part["accuracy"]))
        table.loc[part.index, "front"] = best

    # What the caption has to add.
    notes = [in_words(table["seeds"])]
    hidden = [f for f in attacks if f not in facets]
    if hidden:
        notes.append(f"Averaged over {results.labels.all_of(hidden)}.")
    table = table[[*facets, *marked, *VALUES]]
    table.attrs |= {
        "notes": notes,
        "asset": asset_of(results),
        "marked": next(iter(marked), ""),
        "named": [f for f in choices if f not in marked],
    }
    return table


def _marked(results: Results, runs: pd.DataFrame, choices: list[str]) -> list[str]:
    """Return the factor whose levels have a colour and a mark each; none where names suffice."""
    few = [f for f in choices if runs[f].nunique() <= len(MARKERS)]
    if len(choices) < 2 or not few:
        return []
    return [compared(results, few)]


def settled(values: pd.Series) -> np.ndarray:
    """Return values without what differs by the rounding of sums alone."""
    step = SAME * float(values.abs().max())
    settled = (values / step).round() * step if step > 0 else values
    return settled.to_numpy(float)


def _row(
    levels: dict[str, Any],
    choices: list[str],
    marked: list[str],
    labels: Labels,
    part: pd.DataFrame,
) -> dict[str, Any]:
    """Return the row of a point: its names, its means and their intervals."""
    names = [labels.named(f, levels[f]) for f in choices]
    beside = [labels.level(f, levels[f]) for f in choices if f not in marked]
    row: dict[str, Any] = {"point": " · ".join(names), "beside": " · ".join(beside)}
    row["seeds"] = part["seed"].nunique()
    for column in ("accuracy", "gained"):
        values = per_seed(part, column)
        low, high = np.clip(interval(values), *LIMITS[column])
        row |= {column: values.mean(), f"{column}_low": low, f"{column}_high": high}
    return row


def front(taken: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Return whether each point is on the Pareto front.

    It is when no other point has as little taken and as high an accuracy, and is better in one. A
    point of which one is not known (NaN) is not.
    """
    known = ~np.isnan(taken) & ~np.isnan(accuracy)
    as_good = (taken[None] <= taken[:, None]) & (accuracy[None] >= accuracy[:, None])
    better = (taken[None] < taken[:, None]) | (accuracy[None] > accuracy[:, None])
    return known & np.logical_not(np.any(as_good & better, axis=1))


def draw(table: pd.DataFrame, look: Look) -> Sheet:
    """Draw points with intervals, and the line of the front.

    Where one factor is the designer's choice, points have names and the front is green. Of several
    one has colours and marks, its front is filled, and the others are named beside the points.
    Where an axis would have a single value the other one is drawn alone, and a note says so.
    """
    notes: list[str] = []
    unit = asset(table.attrs)
    marked = str(table.attrs.get("marked", ""))
    named = [look.labels.factor(f) for f in table.attrs.get("named", ())]
    facets = [c for c in table.columns if c not in (marked, *VALUES)]
    for column, word in WORDS.items():
        values = [_only_value(part[column]) for _, part in each(table, facets)]
        if None not in values:
            decimals = 3 if column == "accuracy" else 0
            texts = dict.fromkeys(number(value, decimals) for value in values)
            where = "in each panel " if len(texts) > 1 else ""
            same = f"The {word} is the same for all choices {where}({', '.join(texts)})"
            notes.append(f"{same} and is not drawn.")
            other = next(name for name in WORDS if name != column)
            notes += _other_measure(look, [other])
            return _draw_one(table, facets, other, unit, look, notes)
    notes += _other_measure(look, list(WORDS))
    styles = _styles(table, marked, look)
    table = _merged(table, facets, marked, notes)
    sheet, panels = multiples(table, facets, look, notes, height=2.0)
    for panel in panels:
        _points(panel.axes, panel.part, marked, styles)
    cut = _frame(panels[0].axes, table)
    if cut:
        notes.append("Intervals far wider than all points together are cut at the frame.")
    sheet.supxlabel(f"net income per adversary ({unit})", fontsize="medium")
    sheet.supylabel(WORDS["accuracy"], fontsize="medium")
    if marked:
        names = {look.labels.whole(marked, level): style for level, style in styles.items()}
        colors = {name: style["color"] for name, style in names.items()}
        words(sheet, colors, [{**style, "linestyle": "none"} for style in names.values()])
    sheet.draw_without_rendering()  # the size of the panels is known only now
    inches = panels[0].axes.get_position().width * sheet.get_figwidth()
    fit = _have_room(table, panels, look, bool(marked), inches)
    for panel in panels:
        part = panel.part.sort_values(["gained", "accuracy"])
        shown = part["beside" if marked else "point"].tolist()
        if not fit:  # no room for names: numbers along the front, and a key in the caption
            shown, key = _numbered(part)
            notes.append(f"{panel.title or 'On the front'}: {key}.")
        _names(panel.axes, part, shown)
    if marked and fit:
        notes.insert(0, f"Beside the points: {' · '.join(named)}.")
    return Sheet(sheet, notes, caption=_caption(table, facets, bool(marked)))


def _caption(table: pd.DataFrame, facets: Sequence[str], marked: bool) -> str:
    """Return the caption of a drawing of both outcomes."""
    on_front = [int(part["front"].sum()) for _, part in each(table, facets)]
    joined = "; the line joins them" if max(on_front) > 1 else ""
    look = "Filled" if marked else "Green"
    return f"{BOTH} {look}: no other choice is better in both{joined}. {CAPTION}"


def _other_measure(look: Look, drawn: Sequence[str]) -> list[str]:
    """Return a sentence about what ranks the choices where it is no axis of the drawing."""
    if look.ranked_by in ("", *drawn):
        return []
    return [f"The ranking goes by another measure, {look.ranked_by}, and may differ."]


def _styles(table: pd.DataFrame, marked: str, look: Look) -> dict[Any, dict[str, Any]]:
    """Return colour and mark of each level of the factor that has them."""
    if not marked:
        return {}
    levels = look.levels(table[marked])
    return {
        level: {"color": LEVELS[place], "marker": MARKERS[place]}
        for place, level in enumerate(levels)
    }


def _merged(
    table: pd.DataFrame, facets: Sequence[str], marked: str, notes: list[str]
) -> pd.DataFrame:
    """Return one row for choices with the very same outcomes, with all their names.

    Those with different marks stay, and a note says that they lie on each other.
    """
    keys = [*facets, *DRAWN]
    own = [marked] if marked else []
    lists = dict.fromkeys(("point", "beside"), ", ".join)
    same = table.groupby([*keys, *own], observed=True, sort=False, dropna=False)
    merged = same.agg(lists).reset_index()
    if marked:
        for _, part in merged.groupby(keys, observed=True, sort=False, dropna=False):
            if len(part) > 1:
                notes.append(f"On each other: {'; '.join(part['point'])}.")
    return merged


def _have_room(
    table: pd.DataFrame, panels: Sequence[Panel], look: Look, marked: bool, inches: float
) -> bool:
    """Return whether names have room in panels of so many inches: few enough, none too long."""
    most = 2 * CURVES if marked else CURVES
    if look.narrow and not look.stacked:
        most = CURVES if marked else 2
    longest = table["beside" if marked else "point"].str.len().max()
    room = (0.4 if marked else 0.9) * inches
    few = max(len(panel.part) for panel in panels) <= most
    return bool(few and longest <= DRAWN_POINTS and longest * LETTER_OF_NAME <= room)


def _frame(axes: Axes, table: pd.DataFrame) -> bool:
    """Set the limits, which all panels share; return whether intervals go beyond them.

    They hold all points, and of intervals what is no farther out than the points are apart.
    """
    cut = False
    for column, limit in (("gained", axes.set_xlim), ("accuracy", axes.set_ylim)):
        least, most = table[column].min(), table[column].max()
        low = max(table[f"{column}_low"].min(), 2 * least - most)
        high = min(table[f"{column}_high"].max(), 2 * most - least)
        low, high = np.nanmin([low, least]), np.nanmax([high, most])
        cut |= bool(table[f"{column}_low"].min() < low or table[f"{column}_high"].max() > high)
        span = high - low
        least, most = LIMITS[column]
        limit(
            max(low - 0.16 * span, least - MARK * span),
            min(high + 0.16 * span, most + MARK * span),
        )
    return cut


def _only_value(values: pd.Series) -> float | None:
    """Return the value that all have, but for rounding; None when they differ."""
    spread = float(values.max() - values.min())
    same = spread <= 1e-6 * max(1.0, float(values.abs().max()))
    return float(values.iloc[0]) if same else None


def _numbered(part: pd.DataFrame) -> tuple[list[str], str]:
    """Return the numbers of the points of the front, "" for the others, and what they stand for."""
    numbers = part["front"].cumsum()
    best = part[part["front"]]
    pairs = zip(numbers[part["front"]], best["point"], strict=True)
    key = "; ".join(f"{number}: {name}" for number, name in pairs)
    return numbers.astype(str).where(part["front"], "").tolist(), key


def _draw_one(
    table: pd.DataFrame,
    facets: Sequence[str],
    column: str,
    unit: str,
    look: Look,
    notes: list[str],
) -> Sheet:
    """Draw one of the two outcomes: a row per choice, the best in green."""
    points = list(dict.fromkeys(table["point"]))
    order = table.groupby("point")[column].mean().sort_values(ascending=column == "gained").index
    if len(points) > MOST_ROWS:
        notes.append(f"The best {MOST_ROWS} of {len(points)} choices are drawn; the CSV has all.")
    shown = list(order[:MOST_ROWS])
    table = table[table["point"].isin(shown)]
    sheet, panels = multiples(table, facets, look, notes, height=0.5 + 0.17 * len(shown))
    if not facets:
        sheet.set_figheight(0.8 + 0.17 * len(shown))
    for panel in panels:
        _rows_of(panel, shown, column)
    label = f"net income per adversary ({unit})" if column == "gained" else WORDS[column]
    sheet.supxlabel(label, fontsize="medium")
    return Sheet(sheet, notes, TITLES[column], CAPTIONS[column])


def _rows_of(panel: Panel, shown: list[str], column: str) -> None:
    """Draw the points of a panel, one below the other, with their intervals."""
    axes = panel.axes
    part = panel.part.set_index("point").reindex(shown)
    rows = np.arange(len(shown))
    colors = [ACCENT if good is True else NEUTRAL for good in part["front"]]
    axes.hlines(rows, part[f"{column}_low"], part[f"{column}_high"], colors=colors, linewidth=1.2)
    axes.scatter(part[column], rows, c=colors, s=22, zorder=3)
    axes.set_yticks(rows, shown)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(3))
    if column == "gained":
        axes.axvline(0, color="#999999", linewidth=0.8, zorder=0.5)
        axes.xaxis.set_major_formatter(FuncFormatter(thousands))


def _points(axes: Axes, part: pd.DataFrame, marked: str, styles: dict[Any, dict[str, Any]]) -> None:
    """Draw the points of a panel, their intervals, and the line of the front."""
    best = part[part["front"]].sort_values("gained")
    line = NEUTRAL if marked else ACCENT
    axes.step(best["gained"], best["accuracy"], where="post", color=line, linewidth=1.2)
    if marked:
        for level, style in styles.items():
            own = part[part[marked] == level]
            color = style["color"]
            inside = [color if good else "white" for good in own["front"]]
            _whiskers(axes, own, color)
            axes.scatter(
                own["gained"],
                own["accuracy"],
                marker=style["marker"],
                facecolors=inside,
                edgecolors=color,
                s=30,
                zorder=3,
            )
    else:
        for good, color in ((False, "#9A9A9A"), (True, ACCENT)):
            _whiskers(axes, part[part["front"] == good], color)
        sns.scatterplot(
            part,
            x="gained",
            y="accuracy",
            hue="front",
            palette={True: ACCENT, False: NEUTRAL},
            s=24,
            ax=axes,
            legend=False,
            zorder=3,
        )
    axes.set(xlabel="", ylabel="")
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.xaxis.set_major_locator(MaxNLocator(3))


def _whiskers(axes: Axes, some: pd.DataFrame, color: str) -> None:
    """Draw the intervals of some points in both directions."""
    look: dict[str, Any] = {"color": color, "linewidth": 1, "alpha": 0.7}
    axes.hlines(some["accuracy"], some["gained_low"], some["gained_high"], **look)
    axes.vlines(some["gained"], some["accuracy_low"], some["accuracy_high"], **look)


def _names(axes: Axes, part: pd.DataFrame, texts: list[str]) -> None:
    """Write the names of points where they cover neither intervals nor the line of the front."""
    points = part[["gained", "accuracy"]].to_numpy()
    low = part[["gained_low", "accuracy_low"]].to_numpy()
    high = part[["gained_high", "accuracy_high"]].to_numpy()
    front = points[part["front"]].repeat(2, axis=0)
    corners = np.c_[front[1:, 0], front[:-1, 1]]  # of the stairs that the front is drawn as
    starts = [np.c_[low[:, 0], points[:, 1]], np.c_[points[:, 0], low[:, 1]], corners[:-1]]
    ends = [np.c_[high[:, 0], points[:, 1]], np.c_[points[:, 0], high[:, 1]], corners[1:]]
    lines = np.stack([np.concatenate(starts), np.concatenate(ends)], axis=1)
    name_points(axes, points, texts, lines[~np.isnan(lines).any(axis=(1, 2))])


FIGURE = SweepFigure(
    name="pareto",
    title="Accuracy against adversaries' income",
    caption=f"{BOTH} {CAPTION}",
    needs={"rounds": ("round", "accuracy"), "participants": OWNED_NEEDS},
    data=data,
    draw=draw,
    order=20,
)
