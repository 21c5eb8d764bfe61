"""Expected values and what is to be said of the measured ones."""

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
"""One value per seed; none when what it needs was not played."""


class Expected(BaseModel):
    """A number that somebody has told us, or that nobody has (`value` null)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    what: str
    value: float | None
    relation: Literal["about", "at least", "at most"] = "about"
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """In the value's unit; a bound is allowed to be missed by it."""
    unit: str
    sizes: tuple[str, ...] = ()
    """Where the value claims to hold."""
    citation: Annotated[str, Field(min_length=1)]
    note: str = ""

    def published(self) -> str:
        """The expectation in words."""
        if self.value is None:
            return "–"
        told = number(self.value)
        if self.relation == "about":
            return f"{told} ± {number(self.tolerance)}" if self.tolerance else told
        return f"{self.relation} {told}"


def load(file: Path) -> list[Expected]:
    """The expected values of a paper."""
    return [
        Expected.model_validate(entry) for entry in json.loads(file.read_text(encoding="utf-8"))
    ]


def deviation(expected: Expected, measured: float) -> float:
    """Measured minus expected beyond what is allowed, signed; 0 within."""
    if expected.value is None:
        return 0.0
    off = measured - expected.value
    if (expected.relation == "at least" and off > 0) or (
        expected.relation == "at most" and off < 0
    ):
        return 0.0
    beyond = max(0.0, abs(off) - expected.tolerance)
    # A difference that is only the rounding of decimal fractions is none.
    return 0.0 if beyond < 1e-9 * max(1.0, abs(expected.value)) else float(np.copysign(beyond, off))


def verdict(expected: Expected, measured: Sequence[float], size: str) -> str:
    """One of within, outside by so much (of the mean over seeds), not published, not at this size, not run."""
    if expected.value is not None and size not in expected.sizes:
        return OTHER_SIZE
    if len(measured) == 0:
        return NOT_RUN
    if expected.value is None:
        return UNPUBLISHED
    beyond = deviation(expected, float(np.mean(measured)))
    return (
        WITHIN if beyond == 0 else f"outside by {'+' if beyond > 0 else '−'}{number(abs(beyond))}"
    )


def table(
    expected: Sequence[Expected], measures: Mapping[str, Measure], evidence: Evidence, size: str
) -> pd.DataFrame:
    """One row per expected value: what is told, what was measured (mean, lowest, highest over seeds), the verdict."""
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
    """The columns that are read first; measured with its range over seeds."""
    shown = verdicts[["what", "measured", "verdict", "published", "unit", "source"]].copy()
    spread = verdicts["lowest"] != verdicts["highest"]
    ranges = verdicts["measured"] + " (" + verdicts["lowest"] + " to " + verdicts["highest"] + ")"
    shown["measured"] = verdicts["measured"].where(~spread, ranges)
    return shown


def number(value: float) -> str:
    """Three significant digits, whole numbers whole, thousands separated."""
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def markdown(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table."""
    lines = [
        list(frame.columns),
        ["---"] * len(frame.columns),
        *frame.astype(str).to_numpy().tolist(),
    ]
    return "".join(
        f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |\n" for line in lines
    )
