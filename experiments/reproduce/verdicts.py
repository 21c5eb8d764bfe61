"""Expected values of a paper, and verdicts on the measured ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from experiments.reproduce.evidence import Evidence

WITHIN, UNPUBLISHED, OTHER_SIZE, NOT_RUN = "within", "not published", "not at this size", "not run"
Measure = Callable[[Evidence], Sequence[float]]
"""Returns one value per seed; none when the runs that it needs were not played."""


class Expected(BaseModel):
    """A number that a paper or its code states, or one that is not published (`value` null)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    what: str
    value: float | None
    relation: Literal["about", "at least", "at most"] = "about"
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Allowed difference, in the unit of the value; a bound may be missed by it."""
    unit: str
    sizes: tuple[str, ...] = ()
    """Sizes at which the value should hold."""
    citation: Annotated[str, Field(min_length=1)]
    note: str = ""

    def published(self) -> str:
        """Return the expectation in words."""
        if self.value is None:
            return "–"
        value = number(self.value)
        if self.relation != "about":
            return f"{self.relation} {value}"
        return f"{value} ± {number(self.tolerance)}" if self.tolerance else value


def load(file: Path) -> list[Expected]:
    """Read the expected values of a paper."""
    entries = json.loads(file.read_text(encoding="utf-8"))
    return [Expected.model_validate(entry) for entry in entries]


def deviation(expected: Expected, measured: float) -> float:
    """Return measured minus expected value beyond the tolerance, signed; 0 within it."""
    if expected.value is None:
        return 0.0
    off = measured - expected.value
    if expected.relation == "at least" and off > 0:
        return 0.0
    if expected.relation == "at most" and off < 0:
        return 0.0
    beyond = abs(off) - expected.tolerance
    # Differences as small as the rounding of decimal fractions are ignored.
    if beyond < 1e-9 * max(1.0, abs(expected.value)):
        return 0.0
    return float(np.copysign(beyond, off))


def verdict(expected: Expected, measured: Sequence[float], size: str) -> str:
    """Return the verdict on the mean over seeds.

    One of: within, outside by a difference, not published, not at this size, not run.
    """
    if expected.value is not None and size not in expected.sizes:
        return OTHER_SIZE
    if len(measured) == 0:
        return NOT_RUN
    if expected.value is None:
        return UNPUBLISHED
    beyond = deviation(expected, float(np.mean(measured)))
    if beyond == 0:
        return WITHIN
    sign = "+" if beyond > 0 else "−"
    return f"outside by {sign}{number(abs(beyond))}"


def table(
    expected: Sequence[Expected], measures: Mapping[str, Measure], evidence: Evidence, size: str
) -> pd.DataFrame:
    """Return a row per expected value: published, measured (mean and range over seeds), verdict."""
    rows = []
    for entry in expected:
        found = [float(v) for v in measures[entry.id](evidence) if not np.isnan(v)]
        rows.append(
            {
                "id": entry.id,
                "what": entry.what,
                "unit": entry.unit,
                "published": entry.published(),
                "measured": number(float(np.mean(found))) if found else "–",
                "lowest": number(min(found)) if found else "–",
                "highest": number(max(found)) if found else "–",
                "runs": len(found),
                "verdict": verdict(entry, found, size),
                "source": entry.citation,
                "note": entry.note,
            }
        )
    return pd.DataFrame(rows)


def brief(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return the columns for a first look; `measured` has its range over seeds in brackets."""
    shown = verdicts[["what", "measured", "verdict", "published", "unit", "source"]].copy()
    spread = verdicts["lowest"] != verdicts["highest"]
    ranges = verdicts["measured"] + " (" + verdicts["lowest"] + " to " + verdicts["highest"] + ")"
    shown["measured"] = verdicts["measured"].where(~spread, ranges)
    return shown


def number(value: float) -> str:
    """Return a number with three significant digits, integers in full, thousands separated."""
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def markdown(frame: pd.DataFrame) -> str:
    """Return a frame as a Markdown table."""
    lines = [
        list(frame.columns),
        ["---"] * len(frame.columns),
        *frame.astype(str).to_numpy().tolist(),
    ]
    text = ""
    for line in lines:
        cells = (str(cell).replace("|", "/") for cell in line)
        text += f"| {' | '.join(cells)} |\n"
    return text
