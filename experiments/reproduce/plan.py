"""The sweeps of a reproduction, at one of the sizes of its paper."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from experiments.loader import ScenarioError, read_values
from experiments.sweeps.plan import PlannedRun, Spec, load_spec
from mechanisms.plugin import nearest
from sim.keys import has_key
from sim.scenario import scenario_class

HERE = Path(__file__).parent
SIZES = "sizes.toml"


class Group(BaseModel):
    """One sweep at one size; keys that are not given are those of the size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seeds: int = 0
    set: dict[str, Any] = {}
    optional: bool = False
    """Whether the group is played only with `--with`."""
    cpu_s_per_round: float = 0.0
    """CPU seconds of one round, for dry runs."""
    cpu_s_per_run: float = 0.0
    """The same of a whole run, where its cost does not follow from its rounds."""
    authors_cpu_s_per_round: dict[str, float] = {}
    """CPU seconds of one round of the authors' code by protocol, where they have been measured."""


class Size(BaseModel):
    """The size of a reproduction: seeds, changes of scenarios, costs and groups."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: str
    seeds: int = 1
    set: dict[str, Any] = {}
    cpu_s_per_round: float = 0.0
    authors_cpu_s_per_round: dict[str, float] = {}
    groups: dict[str, Group]


@dataclass(frozen=True)
class Part:
    """A sweep to play, with the measured cost of its rounds, or of its runs."""

    spec: Spec
    cpu_s_per_round: float = 0.0
    authors_cpu_s_per_round: Mapping[str, float] = field(default_factory=dict)
    cpu_s_per_run: float = 0.0

    def cpu_s(self, runs: Sequence[PlannedRun]) -> float:
        """Return the CPU seconds that some of its runs are expected to take."""
        if self.cpu_s_per_run:
            return self.cpu_s_per_run * len(runs)
        return self.cpu_s_per_round * count_rounds(runs)


def count_rounds(runs: Sequence[PlannedRun]) -> int:
    """Return the rounds of all these runs."""
    return sum(run.scenario.rounds for run in runs)


def papers() -> list[str]:
    """Return the names of all papers: the folders here that have sizes."""
    return sorted(p.parent.name for p in HERE.glob(f"*/{SIZES}"))


def sizes(paper: str) -> dict[str, Size]:
    """Return the sizes of a paper by name; raise `ScenarioError` for an unknown paper."""
    if paper not in papers():
        raise ScenarioError("reproduce", "paper", paper, nearest(paper, papers()))
    tables = tomllib.loads((HERE / paper / SIZES).read_text(encoding="utf-8"))
    return {name: Size.model_validate(values) for name, values in tables.items()}


def parts(paper: str, size: str, extra: Sequence[str] = ()) -> dict[str, Part]:
    """Return the sweeps of a paper at a size by group, with the optional groups named in `extra`.

    Raises `ScenarioError` for an unknown name.
    """
    known = sizes(paper)
    if size not in known:
        raise ScenarioError("reproduce", "--size", size, nearest(size, list(known)))
    at = known[size]
    optional = [name for name, group in at.groups.items() if group.optional]
    for name in extra:
        if name not in optional:
            hint = nearest(name, optional) if optional else f"{size} has no optional groups"
            raise ScenarioError("reproduce", "--with", name, hint)
    return {
        name: _part(HERE / paper / f"{name}.toml", at, group)
        for name, group in at.groups.items()
        if not group.optional or name in extra
    }


def _part(file: Path, size: Size, group: Group) -> Part:
    """Return a sweep with the settings of its size and group."""
    spec = load_spec(file)
    # A size is for all sweeps of a paper: a sweep takes the keys that its protocol has.
    own = {**spec.set, **group.set}
    played = scenario_class({**read_values(spec.scenario), **own})
    common = {key: value for key, value in size.set.items() if has_key(played, key.split("."))}
    # The keys of the sweep replace those of the size; the keys of the group replace both.
    settings = {**common, **own}
    spec = spec.model_copy(update={"set": settings, "seeds": group.seeds or size.seeds})
    costs = group.authors_cpu_s_per_round or size.authors_cpu_s_per_round
    per_round = group.cpu_s_per_round or size.cpu_s_per_round
    return Part(spec, per_round, costs, group.cpu_s_per_run)
