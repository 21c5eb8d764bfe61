"""One self-contained page: tables that sort, figures with their data and their command."""

from __future__ import annotations

import base64
import html
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text
from matplotlib.ticker import Formatter
from PIL import Image

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


PIXELS = 115
"""Of the page for an inch of a figure: text of eight points is as large as the page's own."""
SMALL = "(max-width: 560px)"
"""Screens on which figures are drawn small."""
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""Formats of figures, and what their files must not say, so that they are the same every time."""
EMBEDDED, LOSSLESS = "webp", {"lossless": True, "method": 2}
"""Format of the images in a page, and how they are written."""
FORMATS = ("png", "svg")
"""Formats that are written unless others are asked for."""


@dataclass(frozen=True)
class Panel:
    """A figure of a page: file stem, texts, image, the command that makes it, inches, files."""

    name: str
    title: str
    caption: str
    image: bytes
    """As WebP: less than half the bytes of PNG, without loss."""
    command: str
    width: float = 0.0
    formats: tuple[str, ...] = FORMATS
    small: bytes = b""
    """The image for small screens; none where the figure is narrow enough anyway."""


@dataclass(frozen=True)
class Section:
    """A heading with a line about it, a table, its columns in words, and text as it is."""

    heading: str
    table: pd.DataFrame | None = None
    pre: str = ""
    note: str = ""
    lines: tuple[str, ...] = ()
    """Sentences under the heading, the first one large."""
    legend: Mapping[str, str] = field(default_factory=dict)
    """What the columns of the table mean."""
    head: bool = True
    """Whether the table has a head."""


@dataclass(frozen=True)
class Gallery:
    """Figures of a page, and for those that could not be drawn a sentence why."""

    panels: Sequence[Panel]
    failed: Sequence[str] = ()
    heading: str = "Figures"


def save(
    sheet: Canvas,
    table: pd.DataFrame,
    folder: Path,
    name: str,
    title: str,
    caption: str,
    command: str,
    formats: Sequence[str] = FORMATS,
    small: Canvas | None = None,
) -> Panel:
    """Write a canvas in some formats, and its table as CSV; other files are left alone.

    `small` is the same figure for small screens. Raises ValueError when names and numbers leave no
    room for what is drawn.
    """
    bodies = _bodies(sheet, [EMBEDDED, *formats])
    for kind in formats:
        write_file(folder / f"{name}.{kind}", bodies[kind])
    write_file(folder / f"{name}.csv", csv_text(table))
    on_small = _bodies(small, [EMBEDDED])[EMBEDDED] if small else b""
    return Panel(
        name,
        title,
        caption,
        bodies[EMBEDDED],
        command,
        sheet.get_figwidth(),
        tuple(formats),
        on_small,
    )


def _bodies(sheet: Canvas, formats: Sequence[str]) -> dict[str, bytes]:
    """Return the bytes of a canvas in some formats."""
    _draw_literally(sheet)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="constrained_layout not applied")
        try:
            sheet.draw_without_rendering()
        except UserWarning:
            raise ValueError("its names leave no room for what is drawn") from None
    sheet.set_layout_engine(None)  # laid out once, so that all files are the same
    bodies: dict[str, bytes] = {}
    for kind in sorted(dict.fromkeys(formats), key=lambda kind: kind == EMBEDDED):
        buffer = io.BytesIO()
        if kind != EMBEDDED:
            sheet.savefig(buffer, format=kind, metadata=METADATA[kind])
        elif "png" in bodies:  # the same pixels, drawn once
            with Image.open(io.BytesIO(bodies["png"])) as drawn:
                drawn.save(buffer, EMBEDDED, **LOSSLESS)
        else:
            sheet.savefig(buffer, format=EMBEDDED, pil_kwargs=LOSSLESS)
        bodies[kind] = buffer.getvalue()
    return bodies


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


def page(title: str, subtitle: str, parts: Sequence[Section | Gallery]) -> str:
    """Return the whole page as HTML: sections and figures in their order."""
    blocks = [f"<h1>{_html(title)}</h1><p class=sub>{_html(subtitle)}</p>"]
    blocks += [_section(p) if isinstance(p, Section) else _gallery(p) for p in parts]
    head = (
        '<meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{_html(title)} · Fedstake</title><style>{_CSS}</style>"
    )
    body = f"<main>{''.join(blocks)}</main><script>{_SCRIPT}</script>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _gallery(gallery: Gallery) -> str:
    if not gallery.panels and not gallery.failed:
        return ""
    heading = f"<h2>{_html(gallery.heading)}</h2>" if gallery.heading else ""
    failed = "".join(f"<p class=failed>{_html(line)}</p>" for line in gallery.failed)
    return f"{heading}{failed}<div class=grid>{''.join(map(_figure, gallery.panels))}</div>"


def _section(section: Section) -> str:
    parts = [f"<h2>{_html(section.heading)}</h2>"]
    for place, line in enumerate(section.lines):
        kind = "" if place else " class=lead"
        parts.append(f"<p{kind}>{_html(line)}</p>")
    if section.note:
        parts.append(f"<p class=sub>{_html(section.note)}</p>")
    if section.table is not None:
        parts.append(table(section.table, section.heading, head=section.head))
    if section.legend:
        terms = [
            f"<b>{_html(name)}</b> {_html(meaning)}" for name, meaning in section.legend.items()
        ]
        parts.append(f"<p class=legend>Columns: {'; '.join(terms)}.</p>")
    if section.pre:
        parts.append(f"<pre tabindex=0>{_html(section.pre)}</pre>")
    return f"<section>{''.join(parts)}</section>"


def _figure(panel: Panel) -> str:
    pixels = round(PIXELS * panel.width)
    image = _embedded(panel.image)
    # On a small screen its panels stand one below the other rather than become too small to read.
    small = f'<source media="{SMALL}" srcset="{_embedded(panel.small)}">' if panel.small else ""
    name, title = _html(panel.name), _html(panel.title)
    caption = _html(panel.caption)
    files = ", ".join(
        f'<a href="{name}.{kind}">{name}.{kind}</a>' for kind in panel.formats if kind != "png"
    )
    drawing = f"; drawing: {files}" if files else ""
    return (
        f'<figure id="{name}" style="--w:{pixels}px"><h3>{title}</h3>'
        f"<div class=plate><picture>{small}"
        f'<img alt="{caption}" src="{image}"></picture></div>'
        f"<figcaption>{caption} "
        f'<span class=made>Data: <a href="{name}.csv">{name}.csv</a>{drawing}. '
        f"Made by <code>{_html(panel.command)}</code></span></figcaption></figure>"
    )


def _embedded(image: bytes) -> str:
    return f"data:image/{EMBEDDED};base64,{base64.b64encode(image).decode()}"


def table(frame: pd.DataFrame, name: str, *, head: bool = True) -> str:
    """Return a table as HTML; it sorts by its numbers, not by how they are printed.

    Its first column stays in view when the others scroll.
    """
    columns = [_column(frame[name], str(name)) for name in frame.columns]
    headings = "".join(heading for heading, _ in columns)
    first = f"<thead><tr>{headings}</tr></thead>" if head else ""
    rows = zip(*(cells for _, cells in columns), strict=True)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    label = _html(name)
    return (
        f'<div class=wrap tabindex=0 role=region aria-label="{label}">'
        f"<table>{first}<tbody>{body}</tbody></table></div>"
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


_AMOUNT = r"^([-−]?[\d.,]+( \(.* to .*\)| ± [\d.]+|%| in all seeds)?|–)$"
"""Text that reads as a number, perhaps with an interval; the script sorts it by the number."""


def _number(value: Any, decimals: int) -> str:
    exact = "" if pd.isna(value) else f' data-value="{float(value)!r}"'
    return f"<td{exact}>{number(value, decimals)}</td>"
