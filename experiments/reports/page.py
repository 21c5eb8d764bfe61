"""One self-contained page: tables that sort, figures with their data and their command."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text
from matplotlib.ticker import Formatter

from experiments.numerals import digits, number
from experiments.rundir import write_file
from experiments.spreadsheet import csv_text
from fedstake.outside import literal

_HERE = Path(__file__).parent
_CSS = (_HERE / "page.css").read_text(encoding="utf-8")
_SCRIPT = (_HERE / "sort.js").read_text(encoding="utf-8")
# The browser itself refuses to load anything from elsewhere.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'"
)


@dataclass(frozen=True)
class Panel:
    """A figure of a page: file stem, texts, PNG bytes, the command that makes it, inches."""

    name: str
    title: str
    caption: str
    png: bytes
    command: str
    width: float = 0.0


@dataclass(frozen=True)
class Section:
    """A heading with a line about it, a table, and text as it is."""

    heading: str
    table: pd.DataFrame | None = None
    pre: str = ""
    note: str = ""


def save(
    sheet: Canvas,
    table: pd.DataFrame,
    folder: Path,
    name: str,
    title: str,
    caption: str,
    command: str,
) -> Panel:
    """Write a canvas as PNG and SVG, and its table as CSV; other files are left alone."""
    _draw_literally(sheet)
    sheet.draw_without_rendering()
    sheet.set_layout_engine("none")  # laid out once, so that both files are the same
    png, svg = io.BytesIO(), io.BytesIO()
    sheet.savefig(png, format="png", metadata={"Software": None})
    sheet.savefig(svg, format="svg", metadata={"Date": None})
    write_file(folder / f"{name}.png", png.getvalue())
    write_file(folder / f"{name}.svg", svg.getvalue())
    write_file(folder / f"{name}.csv", csv_text(table))
    return Panel(name, title, caption, png.getvalue(), command, sheet.get_figwidth())


def _draw_literally(sheet: Canvas) -> None:
    """Let no text of a drawing steer: no formulas, no control characters but line breaks."""
    for text in sheet.findobj(Text):
        text.set(text=_lines(text.get_text()), parse_math=False)
    # The texts of ticks are made again whenever a drawing is laid out.
    for axes in sheet.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _format_literally(axis.get_major_formatter())


def _format_literally(formatter: Formatter) -> None:
    """Let a formatter of ticks make literal texts."""
    made = formatter.format_ticks
    formatter.format_ticks = lambda values: list(map(_lines, made(values)))  # type: ignore[method-assign]


def _lines(text: str) -> str:
    """Return a text with its line breaks, each line literal."""
    return "\n".join(map(literal, text.split("\n")))


def _html(text: str) -> str:
    """Return a text as HTML shows it: literally."""
    return html.escape(_lines(text))


def page(
    title: str,
    subtitle: str,
    before: Sequence[Section],
    panels: Sequence[Panel],
    after: Sequence[Section],
) -> str:
    """Return the whole page as HTML: sections, figures, sections."""
    parts = [
        f"<h1>{_html(title)}</h1><p class=sub>{_html(subtitle)}</p>",
        *map(_section, before),
    ]
    if panels:
        parts.append(f"<h2>Figures</h2><div class=grid>{''.join(map(_figure, panels))}</div>")
    parts += map(_section, after)
    head = (
        '<meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{_html(title)} · Fedstake</title><style>{_CSS}</style>"
    )
    body = f"<main>{''.join(parts)}</main><script>{_SCRIPT}</script>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _section(section: Section) -> str:
    parts = [f"<h2>{_html(section.heading)}</h2>"]
    if section.note:
        parts.append(f"<p class=sub>{_html(section.note)}</p>")
    if section.table is not None:
        parts.append(table(section.table, section.heading))
    if section.pre:
        parts.append(f"<pre tabindex=0>{_html(section.pre)}</pre>")
    return f"<section>{''.join(parts)}</section>"


def _figure(panel: Panel) -> str:
    pixels = round(96 * panel.width)
    # A wide figure scrolls on a small screen rather than become too small to read.
    wide = " wide" if pixels > 600 else ""
    image = base64.b64encode(panel.png).decode()
    name, title = _html(panel.name), _html(panel.title)
    caption = _html(panel.caption)
    return (
        f'<figure id="{name}" style="--w:{pixels}px"><h3>{title}</h3>'
        f'<div class="plate{wide}" tabindex=0 role=region aria-label="{title}">'
        f'<img alt="{caption}" src="data:image/png;base64,{image}"></div>'
        f"<figcaption>{caption} "
        f'<span class=made>Data: <a href="{name}.csv">{name}.csv</a>; '
        f'drawing: <a href="{name}.svg">{name}.svg</a>. '
        f"Made by <code>{_html(panel.command)}</code></span></figcaption></figure>"
    )


def table(frame: pd.DataFrame, name: str) -> str:
    """Return a table as HTML; it sorts by its numbers, not by how they are printed."""
    columns = [_column(frame[name], str(name)) for name in frame.columns]
    head = "".join(heading for heading, _ in columns)
    rows = zip(*(cells for _, cells in columns), strict=True)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    label = _html(name)
    return (
        f'<div class=wrap tabindex=0 role=region aria-label="{label}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _column(values: pd.Series, name: str) -> tuple[str, list[str]]:
    """Return the heading of a column and its cells."""
    heading = _html(name).replace(".", ".<wbr>")
    if values.dtype.kind in "iuf":
        decimals = digits(values)
        return f"<th scope=col>{heading}</th>", [_number(v, decimals) for v in values]
    amounts = values.astype(str).str.match(_AMOUNT).all()
    kind = "" if amounts else " class=text"
    return f"<th scope=col{kind}>{heading}</th>", [f"<td{kind}>{_text(v)}</td>" for v in values]


def _text(value: Any) -> str:
    return "–" if value is None or value != value else _html(str(value))


_AMOUNT = r"^([-−]?[\d.,]+( \(.* to .*\)| ± [\d.]+|%)?|–)$"
"""Text that reads as a number, perhaps with an interval; the script sorts it by the number."""


def _number(value: Any, decimals: int) -> str:
    exact = "" if pd.isna(value) else f' data-value="{float(value)!r}"'
    return f"<td{exact}>{number(value, decimals)}</td>"
