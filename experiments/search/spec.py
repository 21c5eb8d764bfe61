"""A search as it is described in a file: what is searched, where, and within how many runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from experiments.loader import label, toml_values
from experiments.sweeps.design import Range, checked
from sim.keys import SettingError

FRESH = 1_000_000
"""The first of the seeds that score what was found; those of the search are counted from 0."""

Number = Annotated[float, Field(allow_inf_nan=False)]


class Part(BaseModel):
    """Base of the tables of a file: no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AttackSpec(Part):
    """The groups among which the worst attack is searched."""

    size: tuple[int, int] = (1, 1)
    """Smallest and largest group."""
    behaviours: dict[str, tuple[str, ...]] = {}
    """By role key of a group the behaviours to try; empty: all of all roles."""
    ranges: dict[str, Range] = {}
    """Ranges of "behaviour.parameter", or of another key of the group; by default those of the
    declared bounds."""
    keys: dict[str, Any] = {}
    """Keys of the group that stay as they are."""
    timing: bool = True
    """Whether the first and the last round of the attack are searched, too."""
    minimise: str = ""
    """An outcome that the group wants to be small, as `accuracy`; empty: it wants its pay."""
    beside: dict[str, Any] = {}
    """Dotted scenario keys to set when the group acts, where the scenario allows them."""

    @model_validator(mode="after")
    def _sizes(self) -> AttackSpec:
        least, most = self.size
        if not 1 <= least <= most:
            raise SettingError("size", list(self.size), "must be two numbers, 1 <= least <= most")
        return self


class RuleSpec(Part):
    """The parameters of a rule, what they cost, and when they are good enough."""

    keys: Annotated[dict[str, Range], Field(min_length=1)]
    """By dotted scenario key the range in which it is searched."""
    minimise: str | dict[str, Number]
    """The cost: an outcome or a scenario key, or several of them by name with their weights."""
    epsilon: Number = 0.0
    """Largest gain of a deviation, upper end of its interval, under which honesty holds."""
    deviations: dict[str, dict[str, Any]] = {}
    """By name, groups that deviate: keys of `adversaries`, of one device unless `count` is given.
    """

    @property
    def cost(self) -> dict[str, float]:
        """The weight of each part of the cost."""
        return {self.minimise: 1.0} if isinstance(self.minimise, str) else dict(self.minimise)


class DoubleSpec(Part):
    """The rule against the attack, in turn."""

    rounds: Annotated[int, Field(ge=1, le=1_000)] = 4
    """Turns at most; each gets the same part of the runs."""


class SensitivitySpec(Part):
    """How much each parameter of the rule matters."""

    samples: Annotated[int, Field(ge=2, le=100_000)]
    """Trajectories of Morris, or base samples of Sobol, a power of 2."""
    of: str
    """An outcome, or "gain": the largest mean gain of the listed deviations."""
    method: Literal["morris", "sobol"] = "morris"
    """Morris: samples x (keys + 1) points; Sobol: samples x (keys + 2)."""


class SearchSpec(Part):
    """A search: [attack], [rule], or both with [double]."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")] = "search"
    """Label, and name of the default folder."""
    scenario: str
    """Preset or TOML file; its groups of adversaries stay."""
    set: dict[str, Any] = {}
    """Dotted scenario keys and their values in all runs."""
    measure: str = "utility"
    """Column of table `participants` that is summed over the rounds: what a device is paid."""
    runs: Annotated[int, Field(ge=1, le=1_000_000)]
    """Runs at most, those on fresh seeds among them; those of [sensitivity] come on top."""
    seeds: Annotated[int, Field(ge=1, le=10_000)] = 5
    """Seeds of each trial of the search, the same for all."""
    fresh: Annotated[int, Field(ge=2, le=100_000)] = 20
    """Fresh seeds of what is found."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Decides what is tried."""
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of intervals."""
    least: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Smallest standard deviation of a gain that is believed, in units of `measure`."""
    attack: AttackSpec | None = None
    rule: RuleSpec | None = None
    double: DoubleSpec | None = None
    sensitivity: SensitivitySpec | None = None

    @model_validator(mode="after")
    def _parts(self) -> SearchSpec:
        given = {key for key in ("attack", "rule") if getattr(self, key) is not None}
        if self.double is not None and len(given) < 2:
            raise SettingError("double", sorted(given), "needs both [attack] and [rule]")
        if self.double is None and len(given) != 1:
            expected = "must have exactly one of [attack] and [rule], or both with [double]"
            raise SettingError("", sorted(given), expected)
        if self.rule and not self.rule.deviations and self.double is None:
            raise SettingError("rule.deviations", {}, "must name one deviation or more")
        if self.sensitivity and not self.rule:
            raise SettingError("sensitivity", None, "needs [rule], whose keys it is about")
        return self


def load_search(source: str | Path | Mapping[str, Any]) -> tuple[SearchSpec, str]:
    """Return a search from a TOML file or a table of plain values, and what errors call it.

    Raises `ScenarioError` for a wrong file.
    """
    if isinstance(source, Mapping):
        file, values = "search", dict(source)
    else:
        file = str(source)
        path = Path(os.path.expanduser(source))
        values = toml_values(path, file, "no such file; a search is described in a TOML file")
        values.setdefault("name", label(path))
        base = values.get("scenario")
        if isinstance(base, str) and (path.parent / base).is_file():
            values["scenario"] = str((path.parent / base).resolve())
    return checked(SearchSpec, values, file), file
