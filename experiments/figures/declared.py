"""Charts that a protocol declares: drawn from the manifest of a run, without the protocol's code.

A run directory may come from somebody else, so nothing in a declaration is trusted. Names, texts,
tables and columns are checked before anything is drawn; text is never read as markup or formula.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, get_args, get_type_hints

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.figures.base import LEVELS, LINE, WHO, Figure, thousands
from experiments.figures.factors import thin
from experiments.figures.panels import name_lines, words
from experiments.labels import Labels
from experiments.rundir import MANIFEST, RunError
from experiments.runresult import RunResult
from mechanisms.plugin import nearest
from sim.charts import Chart

MOST_CHARTS, MOST_LINES, MOST_ROWS, MOST_TICKS = 20, 8, 20_000, 12
LENGTHS = {"title": 120, "caption": 600, "x_label": 60, "y_label": 60}
"""Most letters of each text."""
LEVEL = 24
"""Most letters of a name out of the data at a tick or the end of a line."""
LARGEST = 1e100
"""Numbers from here on are no measurements, and overflow when an axis is laid out."""
NAME = re.compile(r"[a-z0-9-]{1,60}")
PLAIN = Labels()
KINDS = get_args(get_type_hints(Chart)["kind"])


def declared_figures(run: RunResult, taken: Collection[str] = ()) -> list[Figure]:
    """Return a figure for each chart of a run's manifest; `RunError` for a wrong declaration.

    Args:
        run: a recorded run.
        taken: names that other figures of the report have.
    """
    where = run.path / MANIFEST
    declarations = run.manifest.get("charts", [])
    if not isinstance(declarations, list):
        raise RunError(f"{where}: charts: must be a list, not {_kind_of(declarations)}")
    if len(declarations) > MOST_CHARTS:
        raise RunError(f"{where}: charts: {len(declarations)} charts, at most {MOST_CHARTS}")
    read = functools.cache(run.table)
    names = set(taken)
    figures = []
    for number, declaration in enumerate(declarations, start=1):
        try:
            chart = _parse(declaration, names)
            table = _rows(chart, _recorded(run), read)
        except RunError:
            raise  # a damaged table
        except ValueError as error:
            raise RunError(f"{where}: chart {_called(declaration, number)}: {error}") from None
        names.add(chart.name)
        figures.append(_figure(chart, table))
    return figures


def _figure(chart: Chart, table: pd.DataFrame) -> Figure:
    return Figure(
        name=chart.name,
        title=chart.title,
        caption=chart.caption,
        needs={chart.table: tuple(table.columns)},
        data=lambda _: table,
        draw=functools.partial(_draw, chart),
    )


# --- checking a declaration ------------------------------------------------------------------


def _parse(declaration: Any, names: Collection[str]) -> Chart:
    """Return the chart that plain JSON describes; `ValueError` says which key is wrong and why."""
    if not isinstance(declaration, dict):
        raise ValueError(f"must have keys and values, not be {_kind_of(declaration)}")
    fields = dataclasses.fields(Chart)
    known = [field.name for field in fields]
    for key in declaration:
        if key not in known:
            raise ValueError(f"unknown key {_quoted(key)}; {nearest(key, known)}")
    for field in fields:
        if field.default is dataclasses.MISSING and field.name not in declaration:
            raise ValueError(f"the key {field.name} is missing")
    texts: dict[str, Any] = {key: _text(key, value) for key, value in declaration.items()}
    chart = Chart(**texts)
    if not NAME.fullmatch(chart.name):
        raise ValueError(f"name = {_quoted(chart.name)}: must be 1 to 60 of a-z, 0-9 and -")
    if chart.name in names:
        raise ValueError(f"name = {_quoted(chart.name)}: another figure has this name")
    if chart.kind not in KINDS:
        raise ValueError(f"kind = {_quoted(chart.kind)}: must be one of {', '.join(KINDS)}")
    return chart


def _text(key: str, value: Any) -> str:
    """Return a value as one line of text."""
    if not isinstance(value, str):
        raise ValueError(f"{key} = {_quoted(value)}: must be text")
    if key not in LENGTHS:
        return value
    line = " ".join(value.split())
    if len(line) > LENGTHS[key]:
        raise ValueError(f"{key} = {_quoted(line)}: {len(line)} letters, at most {LENGTHS[key]}")
    if not line.isprintable():
        raise ValueError(f"{key} = {_quoted(line)}: has characters that cannot be printed")
    return line


def _recorded(run: RunResult) -> list[str]:
    """Return the names of the tables that the manifest lists."""
    files = run.manifest["files"]
    return sorted(name.removesuffix(".parquet") for name in files if name.endswith(".parquet"))


def _rows(chart: Chart, recorded: list[str], read: Callable[[str], pd.DataFrame]) -> pd.DataFrame:
    """Return the rows to draw; `ValueError` for a table or column that cannot be drawn.

    `attrs["notes"]` says what is left out.
    """
    # The name becomes part of a path: only tables of this very run.
    if chart.table not in recorded or not re.fullmatch(r"\w+", chart.table):
        raise ValueError(
            f"table = {_quoted(chart.table)}: this run has no such table; "
            f"{nearest(chart.table, recorded)}"
        )
    whole = read(chart.table)
    roles = {"x": chart.x, "y": chart.y}
    if chart.by:
        roles["by"] = chart.by
    for key, column in roles.items():
        if column not in whole.columns:
            raise ValueError(
                f"{key} = {_quoted(column)}: table {chart.table} has no such column; "
                f"{nearest(column, list(whole.columns))}"
            )
        named = key == "by" or (key == "x" and chart.kind == "bar")
        if not (_is_number(whole[column]) or (named and _is_name(whole[column]))):
            allowed = "numbers or names" if named else "numbers"
            raise ValueError(f"{key} = {_quoted(column)}: the column must hold {allowed}")
    table = whole[list(dict.fromkeys(roles.values()))]
    table = table[table[chart.x].notna()].reset_index(drop=True)
    drawn = table[table[chart.by].notna()] if chart.by else table
    if np.isnan(_floats(drawn[chart.y])).all():
        return table.iloc[:0]  # nothing to show
    table.attrs["notes"] = _left_out(chart, table)
    return table


def _left_out(chart: Chart, table: pd.DataFrame) -> list[str]:
    """Return sentences about lines and rows that are not drawn."""
    notes = []
    if chart.by:
        levels = _levels(table[chart.by])
        if len(levels) > MOST_LINES:
            notes.append(
                f"{MOST_LINES} of the {len(levels):,} levels of {chart.by} are drawn; "
                "the CSV has all."
            )
        if table[chart.by].isna().any():
            notes.append(f"Rows without {chart.by} are not drawn; the CSV has all.")
    sizes = table[chart.by].value_counts() if chart.by else pd.Series([len(table)])
    if sizes.max() > MOST_ROWS:
        notes.append(
            f"Of each line at most {MOST_ROWS:,} rows are drawn, evenly spread; the CSV has all."
        )
    if chart.kind == "bar" and table.duplicated([c for c in (chart.x, chart.by) if c]).any():
        notes.append("Several rows share a place: the longest bar hides the others.")
    return notes


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column))


def _is_name(column: pd.Series) -> bool:
    values = column.astype(object).dropna()
    return bool(values.map(lambda value: isinstance(value, str)).all())


def _called(declaration: Any, number: int) -> str:
    """Return the name of a chart for a message, or its number where it has no proper name."""
    name = declaration.get("name") if isinstance(declaration, Mapping) else None
    return repr(name) if isinstance(name, str) and NAME.fullmatch(name) else str(number)


def _quoted(value: Any) -> str:
    return reprlib.repr(value)


def _kind_of(value: Any) -> str:
    return f"a {type(value).__name__}"


# --- drawing ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Line:
    """One line, cloud or row of bars: what it is called, its colour, and where it goes."""

    name: str
    color: str
    x: np.ndarray
    y: np.ndarray


def _draw(chart: Chart, table: pd.DataFrame, axes: Axes) -> None:
    """Draw the lines of a chart, each named in its colour where there are several."""
    sheet = axes.get_figure(root=True)
    assert sheet is not None
    lines = _lines(chart, table)
    for line in lines:
        if chart.kind == "points":
            axes.scatter(
                line.x, line.y, s=9, color=line.color, alpha=0.6, linewidth=0, rasterized=True
            )
        elif chart.kind != "bar":
            shape = "steps-post" if chart.kind == "step" else "default"
            axes.plot(line.x, line.y, color=line.color, linewidth=1.6, drawstyle=shape)
    if chart.kind == "bar":
        _bars(axes, lines)
    _scale(axes, chart, table)
    if len(lines) < 2:
        return
    longest = max(len(line.name) for line in lines)
    if chart.kind in ("line", "step") and longest <= LEVEL:
        ends = [(*_end(line), line.name, line.color) for line in lines if len(line.x)]
        name_lines(sheet, {axes: ends})
    else:
        words(sheet, {line.name: line.color for line in lines})


def _lines(chart: Chart, table: pd.DataFrame) -> list[_Line]:
    """Split the table into at most eight lines of at most 20,000 rows each."""
    x, y = _places(table[chart.x])[0], _floats(table[chart.y])
    if not chart.by:
        rows = np.array(thin(range(len(table)), MOST_ROWS), dtype=int)
        return [_Line("", LINE, x[rows], y[rows])]
    levels = thin(_levels(table[chart.by]), MOST_LINES)
    lines = []
    for level, color in zip(levels, LEVELS, strict=False):
        name = _clean(PLAIN.named(chart.by, level))
        if chart.by == "adversary" and isinstance(level, bool | np.bool_):
            name = "adversary" if level else "honest"
            color = WHO[name]
        where = np.flatnonzero((table[chart.by] == level).fillna(False))
        rows = where[thin(range(len(where)), MOST_ROWS)]
        lines.append(_Line(name, color, x[rows], y[rows]))
    return lines


def _levels(column: pd.Series) -> list[Any]:
    """Return the levels that occur: numbers by size, names as they come."""
    found = list(column.dropna().unique())
    return sorted(found) if _is_number(column) else found


def _places(column: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Return the place of each value on the axis, and the names at 0, 1, ... of a text column."""
    if _is_number(column):
        return _floats(column), []
    codes, names = pd.factorize(column.astype(object))
    return codes.astype(float), list(names)


def _floats(column: pd.Series) -> np.ndarray:
    """Return a column as floats; NaN for gaps, infinities and what no axis can hold."""
    values = column.to_numpy(dtype=float, na_value=np.nan).copy()
    values[~(np.abs(values) < LARGEST)] = np.nan
    return values


def _bars(axes: Axes, lines: list[_Line]) -> None:
    """Draw the bars of all lines side by side, standing on zero."""
    places = np.unique(np.concatenate([line.x[np.isfinite(line.x)] for line in lines]))
    room = np.diff(places).min() if len(places) > 1 else 1.0
    width = 0.8 * room / len(lines)
    for k, line in enumerate(lines):
        left = line.x - 0.4 * room + k * width
        corners = [
            (left, 0 * left),
            (left, line.y),
            (left + width, line.y),
            (left + width, 0 * left),
        ]
        bars = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)
        drawn = bars[np.isfinite(bars).all(axis=(1, 2))]
        axes.add_collection(PolyCollection(drawn, facecolor=line.color, linewidth=0))
    axes.autoscale_view()
    axes.axhline(0, color="#999999", linewidth=0.8, zorder=0.5)


def _end(line: _Line) -> tuple[float, float]:
    """Return the last point of a line that has a value."""
    known = np.flatnonzero(np.isfinite(line.x) & np.isfinite(line.y))
    last = known[-1] if len(known) else -1
    return float(line.x[last]), float(line.y[last])


def _scale(axes: Axes, chart: Chart, table: pd.DataFrame) -> None:
    """Name the axes, and print whole numbers as whole numbers."""
    axes.set_xlabel(chart.x_label or _printable(chart.x), parse_math=False)
    axes.set_ylabel(chart.y_label or _printable(chart.y), parse_math=False)
    whole = pd.api.types.is_integer_dtype(table[chart.y])
    if whole:
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    if whole or np.nanmax(np.abs(_floats(table[chart.y]))) >= 1_000:
        axes.yaxis.set_major_formatter(FuncFormatter(thousands))
    names = _places(table[chart.x])[1]
    if names:
        shown = thin(range(len(names)), MOST_TICKS)
        texts = [_printable(names[i]) for i in shown]
        axes.set_xticks(shown, texts, parse_math=False)
    elif pd.api.types.is_integer_dtype(table[chart.x]):
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))


def _clean(text: str) -> str:
    """Return a text out of the data without what cannot be printed."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _printable(text: str) -> str:
    """Return a name out of the data as one short line."""
    clean = _clean(text)
    return clean if len(clean) <= LEVEL else f"{clean[: LEVEL - 1]}…"
