"""Expected values of a paper, and verdicts on the measured ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from experiments.intervals import interval
from experiments.reproduce.evidence import Evidence

WITHIN, UNPUBLISHED, OTHER_SIZE, NOT_RUN = "within", "not published", "not at this size", "not run"
OUTSIDE, UNDECIDED, NOT_AT_HAND = "outside", "undecided", "not at hand"
KINDS = (WITHIN, OUTSIDE, UNDECIDED, OTHER_SIZE, NOT_AT_HAND, UNPUBLISHED, NOT_RUN)
"""All verdicts, in the order in which they are counted; more words may follow after a space."""
REPRODUCED, DIFFERS, ELSEWHERE = "reproduced", "differs", "cannot be had here"
SURE = ("above", "below")
"""Relations of a whole interval."""
Measure = Callable[[Evidence], Sequence[float]]
"""Returns one value per seed; none when the runs that it needs were not played."""


class Expected(BaseModel):
    """A number that a paper or its code states, or one that is not published (`value` null)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    what: str
    value: float | None
    part: str = ""
    """Part of the reproduction that it belongs to; its verdicts stand under this heading."""
    relation: Literal["about", "at least", "at most", "above", "below"] = "about"
    """`above` and `below`: the whole 95 % interval over seeds must lie there."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Allowed difference, in the unit of the value; a bound may be missed by it."""
    unit: str
    sizes: tuple[str, ...] = ()
    """Sizes at which the value should hold."""
    needs: str = ""
    """What only the user can bring, as a file of data."""
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
    """Return the verdict on the mean over seeds, or on their interval: one of `KINDS`.

    `outside` says by how much, `not at hand` what is missing.
    """
    if expected.needs and len(measured) == 0:
        return f"{NOT_AT_HAND}: {expected.needs}"
    if expected.value is not None and size not in expected.sizes:
        return OTHER_SIZE
    if len(measured) == 0:
        return NOT_RUN
    if expected.value is None:
        return UNPUBLISHED
    if expected.relation in SURE:
        return _surely(expected.value, expected.relation, measured)
    return _outside(deviation(expected, float(np.mean(measured))))


def _surely(bound: float, relation: str, measured: Sequence[float]) -> str:
    """Return whether the whole interval of the mean lies above or below a bound."""
    low, high = interval(np.asarray(measured, dtype=float))
    above = relation == "above"
    if low > bound if above else high < bound:
        return WITHIN
    if high < bound if above else low > bound:
        return _outside(high - bound if above else low - bound)
    return UNDECIDED


def _outside(beyond: float) -> str:
    if beyond == 0:
        return WITHIN
    sign = "+" if beyond > 0 else "−"
    return f"{OUTSIDE} by {sign}{number(abs(beyond))}"


def kind_of(verdict: str) -> str:
    """Return the kind of a verdict, without the words that follow it."""
    return next(kind for kind in KINDS if verdict.startswith(kind))


def table(
    expected: Sequence[Expected], measures: Mapping[str, Measure], evidence: Evidence, size: str
) -> pd.DataFrame:
    """Return a row per expected value: published, measured, verdict.

    Measured are mean, range and 95 % interval over seeds.
    """
    rows = []
    for entry in expected:
        found = [float(v) for v in measures[entry.id](evidence) if not np.isnan(v)]
        rows.append(
            {
                "id": entry.id,
                "part": entry.part,
                "what": entry.what,
                "unit": entry.unit,
                "published": entry.published(),
                "measured": number(float(np.mean(found))) if found else "–",
                "lowest": number(min(found)) if found else "–",
                "highest": number(max(found)) if found else "–",
                "95 % interval": _interval(found),
                "runs": len(found),
                "verdict": verdict(entry, found, size),
                "source": entry.citation,
                "note": entry.note,
            }
        )
    return pd.DataFrame(rows)


def _interval(values: Sequence[float]) -> str:
    low, high = interval(np.asarray(values, dtype=float))
    return "–" if np.isnan(low) else f"{number(low)} to {number(high)}"


def by_part(found: pd.DataFrame) -> pd.DataFrame:
    """Return a row per part of a reproduction: what came of it, and its verdicts, counted.

    A part that has an outside or undecided value is not reproduced. No rows where a paper has one
    part only.
    """
    if not found["part"].any():
        return pd.DataFrame()
    rows = []
    for part, group in found.groupby("part", sort=False):
        rows.append({"part": part, "verdict": _in_all(group), "values": tally(group)})
    return pd.DataFrame(rows)


def _in_all(found: pd.DataFrame) -> str:
    """Return the verdict on all values of a part: by the first kind of these that it has."""
    there = {kind_of(verdict) for verdict in found["verdict"]}
    first = (
        (OUTSIDE, DIFFERS),
        (UNDECIDED, UNDECIDED),
        (WITHIN, REPRODUCED),
        (OTHER_SIZE, OTHER_SIZE),
        (NOT_AT_HAND, ELSEWHERE),
    )
    return next((words for kind, words in first if kind in there), UNPUBLISHED)


def tally(found: pd.DataFrame) -> str:
    """Count the verdicts of each kind, in words."""
    counts = found["verdict"].map(kind_of).value_counts()
    return ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if kind in counts)


def brief(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return the columns for a first look; `measured` has its range over seeds in brackets."""
    shown = verdicts[
        ["what", "measured", "95 % interval", "verdict", "published", "unit", "source"]
    ].copy()
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
