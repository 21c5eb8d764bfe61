"""The description of a paper that is reproduced: figures, measures and findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure as Canvas

from experiments.reproduce.evidence import Evidence
from experiments.reproduce.plan import Part
from experiments.reproduce.verdicts import Measure


@dataclass(frozen=True)
class PaperFigure:
    """A figure of a paper, drawn from recorded runs."""

    name: str
    caption: str
    published: str
    """Facts known of the original figure, and their source."""
    data: Callable[[Evidence], pd.DataFrame]
    """Returns the tidy table that is drawn and saved as CSV; an empty one draws nothing."""
    draw: Callable[[pd.DataFrame, Canvas], None]
    """Draws the table on a new sheet."""


def nothing_more(data: Path, size: str) -> Mapping[str, Part]:
    """Return no sweeps: whatever is in the data folder."""
    return {}


@dataclass(frozen=True)
class Paper:
    """A paper that is reproduced: `PAPER` of its package.

    The folder also holds `sizes.toml`, one sweep file per group, and `expected.json`.
    """

    title: str
    figures: tuple[PaperFigure, ...]
    measures: Mapping[str, Measure]
    """Measures by the id of the expected value."""
    findings: Callable[[Evidence], list[tuple[str, pd.DataFrame]]]
    """Returns further tables for the report with their headings; empty ones are left out."""
    at_hand: Callable[[Path, str], Mapping[str, Part]] = nothing_more
    """Returns further sweeps by name, of the files that are in the data folder, at a size."""
