"""Curves over rounds of a sweep: means over seeds with bands, told apart where they coincide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from experiments.figures.base import (
    BANDS,
    LINE,
    MARKERS,
    WHO,
    Look,
    Sheet,
    level_style,
    rounds_axis,
    thousands,
    whiskers_or_bands,
)
from experiments.figures.factors import choose, each, ordered
from experiments.figures.panels import (
    ASIDE,
    CURVES,
    Panel,
    keep,
    multiples,
    name_lines,
    words,
)
from experiments.intervals import band, bands_in_words
from experiments.labels import labels_of
from experiments.results import Results

VALUES = ("round", "mean", "low", "high", "seeds")


def curves(
    results: Results, frame: pd.DataFrame, value: str, by: Sequence[str] = ()
) -> pd.DataFrame:
    """Return one row per shown levels and round: mean of a value, its band, the number of seeds.

    Args:
        results: the sweep.
        frame: one row per run and round (and level of `by`): run_id, keys, factors, `value`.
        value: the column that is drawn.
        by: columns of categories that make curves beside up to three factors.
    """
    if frame.empty:
        return pd.DataFrame()
    runs = ordered(results, frame)
    first = dict.fromkeys([*results.factors, "seed"], "first")
    per_run = runs.groupby("run_id", sort=False).agg({**first, value: "mean"})
    chosen = choose(results, per_run, [value], 3 - len(by), by_effect=False)
    keys = [*by, *chosen.shown]
    # A seed counts once, however many cells are averaged: these share its draws.
    grouped = runs.groupby([*keys, "seed", "round"], observed=True)
    per_seed = grouped[value].mean().rename("mean").reset_index()
    parts = []
    for key, part in each(per_seed, keys):
        around = bands(part)
        around[keys] = key
        parts.append(around)
    table = pd.concat(parts, ignore_index=True).astype({f: runs[f].dtype for f in keys})
    table = table[[*keys, *VALUES]]
    told_apart = table[keys[0]].nunique() if keys else 1
    what = whiskers_or_bands(told_apart)
    table.attrs["notes"] = [bands_in_words(table["seeds"], what), *chosen.notes]
    return table


def bands(part: pd.DataFrame) -> pd.DataFrame:
    """Return per round the mean over seeds, the edges of its band, and how many seeds there are.

    Edges are NaN for a single seed.
    """
    rows = []
    for at, values in part.groupby("round")["mean"]:
        low, high = band(values.to_numpy(dtype=float))
        rows.append((int(str(at)), values.mean(), low, high, len(values)))
    return pd.DataFrame(rows, columns=list(VALUES))


def draw_curves(
    table: pd.DataFrame,
    look: Look,
    *,
    label: str,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Sheet:
    """Draw lines and bands; colour is the first factor, panels the next two.

    Args:
        table: of `curves`.
        look: labels, order of levels and width.
        label: of the y axis.
        limits: the least and the largest value that there can be: no band goes beyond.
    """
    notes: list[str] = []
    color_by, *facets = [c for c in table.columns if c not in VALUES] or [""]
    if color_by:
        table = keep(table, color_by, CURVES, look, notes)
    shown = look.levels(table[color_by]) if color_by else [""]
    names = {level: _curve_name(look, color_by, level) for level in shown}
    styles = {level: level_style(i) for i, level in enumerate(shown)}
    if not color_by:
        styles = {"": {"color": LINE}}
    table = table.assign(low=table["low"].clip(*limits), high=table["high"].clip(*limits))
    sheet, panels = multiples(table, facets, look, notes)
    span = float(table["mean"].max() - table["mean"].min()) or 1.0
    ends = {}
    alike: dict[tuple[str, ...], list[str]] = {}
    for panel in panels:
        parts = _parts(panel, color_by, shown)
        for place, (level, part) in enumerate(parts.items()):
            _curve(panel.axes, part, styles[level], place if color_by else -1, len(shown))
        means = {names[v]: p.set_index("round")["mean"] for v, p in parts.items()}
        for group in coinciding(means, 0.004 * span):
            alike.setdefault(group, []).append(panel.title)
        if panel.last:
            ends[panel.axes] = [
                (p["round"].iloc[-1], p["mean"].iloc[-1], names[v], styles[v]["color"])
                for v, p in parts.items()
            ]
    notes += [_alike_note(group, titles, len(panels)) for group, titles in alike.items()]
    sheet.supxlabel("round", fontsize="medium")
    sheet.supylabel(label, fontsize="medium")
    if color_by and (look.narrow or max(map(len, names.values())) > ASIDE):
        words(
            sheet,
            {look.labels.whole(color_by, v): str(styles[v]["color"]) for v in shown},
            [{**styles[v], "marker": MARKERS[i], "markersize": 3.5} for i, v in enumerate(shown)],
        )
    elif color_by:
        name_lines(sheet, ends)
    return Sheet(sheet, notes)


def coinciding(curves: Mapping[str, pd.Series], tolerance: float) -> list[tuple[str, ...]]:
    """Return the groups of curves that lie on each other at all their places, as rounds."""
    groups: list[list[str]] = []
    for name, line in curves.items():
        for group in groups:
            other = curves[group[0]]
            if line.index.equals(other.index) and (line - other).abs().max() <= tolerance:
                group.append(name)
                break
        else:
            groups.append([name])
    return [tuple(group) for group in groups if len(group) > 1]


def _alike_note(group: tuple[str, ...], titles: Sequence[str], panels: int) -> str:
    """Return a sentence about curves that coincide, and in which panels."""
    *others, last = group
    where = f" ({'; '.join(titles)})" if len(titles) < panels else ""
    return f"The curves of {', '.join(others)} and {last} coincide{where}."


def _curve_name(look: Look, factor: str, level: Any) -> str:
    return look.labels.named(factor, level) if factor else ""


def _parts(panel: Panel, color_by: str, shown: Sequence[Any]) -> dict[Any, pd.DataFrame]:
    """Return the rows of each curve of a panel, those with rows only."""
    if not color_by:
        return {"": panel.part}
    parts = {level: panel.part[panel.part[color_by] == level] for level in shown}
    return {level: part for level, part in parts.items() if not part.empty}


def _curve(
    axes: Axes, part: pd.DataFrame, style: Mapping[str, Any], place: int, curves: int
) -> None:
    """Draw one curve over its band; its marks stand where other curves have none."""
    color = style["color"]
    marks: dict[str, Any] = {}
    if place >= 0:
        step = max(curves, len(part) // 4)
        marks = {"marker": MARKERS[place], "markersize": 3.5, "markevery": (place % step, step)}
        at = part.iloc[place % step :: step]
    if curves <= BANDS:
        axes.fill_between(
            part["round"], part["low"], part["high"], color=color, alpha=0.13, linewidth=0
        )
    else:
        axes.vlines(at["round"], at["low"], at["high"], color=color, linewidth=0.9, alpha=0.8)
    axes.plot(part["round"], part["mean"], **style, **marks)
    rounds_axis(axes, int(part["round"].max()))
    if part["mean"].abs().max() >= 1_000:
        axes.yaxis.set_major_formatter(FuncFormatter(thousands))


def label_curves(axes: Axes, lines: Mapping[str, tuple[pd.Series, pd.Series]]) -> dict[str, str]:
    """Draw a named line per entry, told apart by colour, dashes and marks; return their colours.

    `lines` has x and y by name. The line called honest is blue.
    """
    sheet = axes.get_figure(root=True)
    assert sheet is not None
    styles: dict[str, dict[str, Any]] = {}
    for place, (name, (x, y)) in enumerate(lines.items()):
        step = max(len(lines), len(x) // 4)
        styles[name] = {
            **level_style(place),
            "marker": MARKERS[place % len(MARKERS)],
            "markersize": 3.5,
        }
        if name in WHO:
            styles[name]["color"] = WHO[name]
        axes.plot(x, y, **styles[name], markevery=(place % step, step))
    names = labels_of({"": list(lines)})
    colors = {name: str(style["color"]) for name, style in styles.items()}
    shown = {names.level("", name): color for name, color in colors.items()}
    words(sheet, shown, list(styles.values()))
    return colors
