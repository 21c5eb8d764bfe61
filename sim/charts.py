"""Figures that a protocol declares.

They stand in the manifest, so that drawing needs none of the protocol's code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Chart:
    """One figure of a run: a column of a recorded table over another.

    Args:
        name: file name of the figure, letters, digits and hyphens.
        title: above the figure in the report.
        caption: one or two sentences below it.
        table: the recorded table.
        x, y: its columns on the axes.
        by: column that splits the rows into one line each, at most eight; "": one line.
        kind: "line" joins the points, "step" holds a value until the next, "points" leaves them
            alone, "bar" stands on zero.
        x_label, y_label: of the axes, with the unit; "": the name of the column.
    """

    name: str
    title: str
    caption: str
    table: str
    x: str
    y: str
    by: str = ""
    kind: Literal["line", "step", "points", "bar"] = "line"
    x_label: str = ""
    y_label: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return the declaration as the manifest holds it."""
        return asdict(self)
