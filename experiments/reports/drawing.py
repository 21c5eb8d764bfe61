"""Drawing the figures of a report: which ones, how wide, in which formats; none costs the page."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from experiments.figures.base import DOUBLE, SINGLE, Figure, GameFigure, Sheet, SweepFigure
from experiments.reports.page import FORMATS, METADATA, Gallery, Panel, save
from experiments.rundir import RunError
from fedstake.errors import FedstakeError
from mechanisms.plugin import nearest

AnyFigure = TypeVar("AnyFigure", Figure, SweepFigure, GameFigure)
WIDTHS = {"single": SINGLE, "double": DOUBLE}
"""Inches of one and of two columns of a printed page, by the words for them."""
LONGEST = 200
"""Most letters of the reason why a figure could not be drawn."""


@dataclass(frozen=True)
class Wanted:
    """The figures that are asked for: their names (none: all), formats, and width (0: any)."""

    figures: tuple[str, ...] = ()
    formats: tuple[str, ...] = FORMATS
    width: float = 0.0


def wanted(figures: str | Sequence[str], formats: str | Sequence[str], width: str) -> Wanted:
    """Return what is asked for by names, in lists or with commas between them.

    Raises `RunError` for a format or width that there is not.
    """
    kinds = tuple(_listed(formats)) or FORMATS
    for kind in kinds:
        if kind not in METADATA:
            raise RunError(f"--format {kind}: no such format; {nearest(kind, list(METADATA))}")
    if width and width not in WIDTHS:
        raise RunError(f"--width {width}: no such width; {nearest(width, list(WIDTHS))}")
    return Wanted(tuple(_listed(figures)), kinds, WIDTHS.get(width, 0.0))


def _listed(names: str | Sequence[str]) -> list[str]:
    words = names.split(",") if isinstance(names, str) else names
    return [word.strip() for word in words if word.strip()]


def check_figures(want: Wanted, known: Collection[str]) -> None:
    """Raise `RunError` for a figure that is asked for and that there is not."""
    for name in want.figures:
        if name not in known:
            raise RunError(f"--figures {name}: no such figure; {nearest(name, list(known))}")


def draw_all(
    figures: Iterable[AnyFigure],
    data: Callable[[AnyFigure], pd.DataFrame],
    draw: Callable[[AnyFigure, pd.DataFrame, bool], Sheet],
    target: Path,
    want: Wanted,
    command: Sequence[str],
    on_figure: Callable[[int], None] | None = None,
    on_missing: Callable[[str], None] | None = None,
) -> Gallery:
    """Draw and save figures; one that fails is told on the page, the others are not touched.

    Args:
        figures: in their order; those that are not asked for are passed over.
        data: makes the table of one; an empty one: nothing to show.
        draw: puts a table on a canvas; the last argument says whether for a small screen.
        target: folder of the files.
        want: which figures, in which formats.
        command: that makes the report.
        on_figure: called with the number done.
        on_missing: called with what the page says of each figure that is not drawn.

    Raises the errors of wrong input, as of a damaged table: these are no fault of a figure.
    """
    panels: list[Panel] = []
    failed: list[str] = []
    for done, figure in enumerate(figures, start=1):
        if not want.figures or figure.name in want.figures:
            try:
                panel = _draw_one(figure, data, draw, target, want, command)
            except FedstakeError:
                raise
            except Exception as error:
                _remove(target, figure.name)
                failed.append(_why(figure.title, error))
            else:
                if panel:
                    panels.append(panel)
                elif want.figures:
                    failed.append(f"{figure.title} ({figure.name}): there is nothing to show.")
        if on_figure:
            on_figure(done)
    if on_missing:
        for line in failed:
            on_missing(line)
    return Gallery(panels, failed)


def apart(gallery: Gallery, showing: Sequence[str]) -> tuple[Gallery, Gallery]:
    """Return the figure that shows an answer, the first of these that is there, and the others."""
    names = [panel.name for panel in gallery.panels]
    chosen = next((name for name in showing if name in names), "")
    first = [panel for panel in gallery.panels if panel.name == chosen]
    others = [panel for panel in gallery.panels if panel.name != chosen]
    heading = "Other figures" if first else "Figures"
    return Gallery(first, heading=""), Gallery(others, gallery.failed, heading)


def _draw_one(
    figure: AnyFigure,
    data: Callable[[AnyFigure], pd.DataFrame],
    draw: Callable[[AnyFigure, pd.DataFrame, bool], Sheet],
    target: Path,
    want: Wanted,
    command: Sequence[str],
) -> Panel | None:
    """Draw and save one figure; return None when there is nothing to show."""
    table: pd.DataFrame = data(figure)
    if table.empty:
        return None
    sheet: Sheet = draw(figure, table, False)
    small = draw(figure, table, True).canvas if sheet.canvas.get_figwidth() > SINGLE else None
    about = sheet.caption or figure.caption
    caption = " ".join([about, *table.attrs.get("notes", []), *sheet.notes])
    return save(
        sheet.canvas,
        table,
        target,
        name=figure.name,
        title=sheet.title or figure.title,
        caption=caption,
        command=shlex.join(command),
        formats=want.formats,
        small=small,
    )


def _remove(target: Path, name: str) -> None:
    """Remove the files of a figure that an earlier report has left: they would be taken for new."""
    for kind in (*METADATA, "csv"):
        (target / f"{name}.{kind}").unlink(missing_ok=True)


def _why(title: str, error: Exception) -> str:
    """Return in one line that a figure could not be drawn, and why."""
    reason = " ".join(str(error).split())
    reason = reason if len(reason) <= LONGEST else f"{reason[: LONGEST - 1]}…"
    return f"{title}: could not be drawn ({type(error).__name__}: {reason})."
