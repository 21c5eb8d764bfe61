"""What a paper's folder says of itself beside its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure as Canvas

from experiments.reproduce.evidence import Evidence
from experiments.reproduce.verdicts import Measure


@dataclass(frozen=True)
class PaperFigure:
    """A figure of a paper, drawn from recorded runs; `published` is what is known of the original and from where.

    `data` makes the tidy table that is drawn and saved as CSV (empty: nothing to show); `draw` puts it on a fresh sheet.
    """

    name: str
    caption: str
    published: str
    data: Callable[[Evidence], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Canvas], None]


@dataclass(frozen=True)
class Paper:
    """A reproduction. Its folder holds `sizes.toml`, one sweep file per group, and `expected.json`; `PAPER` is this."""

    title: str
    figures: tuple[PaperFigure, ...]
    measures: Mapping[str, Measure]
    """By id of the expected value."""
    findings: Callable[[Evidence], list[tuple[str, pd.DataFrame]]]
    """Further tables for the report, with their headings; empty ones are left out."""
