"""What a reproduction plays: a paper's folder of sweeps, at one of its sizes."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from experiments.loader import ScenarioError
from experiments.sweeps.plan import Spec, load_spec
from mechanisms.plugin import nearest

HERE = Path(__file__).parent
SIZES = "sizes.toml"


class Group(BaseModel):
    """One sweep at one size; what it does not say is as the size has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seeds: int = 0
    set: dict[str, Any] = {}
    optional: bool = False
    """Played only when asked for."""
    cpu_s_per_round: float = 0.0
    """CPU seconds of one round, for dry runs."""
    authors_cpu_s_per_round: dict[str, float] = {}
    """CPU seconds of one round of the authors' code by protocol, where they have been measured."""


class Size(BaseModel):
    """How large a reproduction is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: str
    seeds: int = 1
    set: dict[str, Any] = {}
    cpu_s_per_round: float
    authors_cpu_s_per_round: dict[str, float] = {}
    groups: dict[str, Group]


@dataclass(frozen=True)
class Part:
    """A sweep to play, with what its rounds are known to cost."""

    spec: Spec
    cpu_s_per_round: float
    authors_cpu_s_per_round: dict[str, float]


def papers() -> list[str]:
    """Names of the papers that can be reproduced: the folders here that have sizes."""
    return sorted(p.parent.name for p in HERE.glob(f"*/{SIZES}"))


def sizes(paper: str) -> dict[str, Size]:
    """The sizes of a paper, by name. Raises `ScenarioError` for a paper that is not there."""
    if paper not in papers():
        raise ScenarioError("reproduce", "paper", paper, nearest(paper, papers()))
    told = tomllib.loads((HERE / paper / SIZES).read_text(encoding="utf-8"))
    return {name: Size.model_validate(values) for name, values in told.items()}


def parts(paper: str, size: str, extra: Sequence[str] = ()) -> dict[str, Part]:
    """The sweeps of a paper at a size, by group; `extra` names the optional groups that are wanted too.

    Raises `ScenarioError` for a name that is not there.
    """
    known = sizes(paper)
    if size not in known:
        raise ScenarioError("reproduce", "--size", size, nearest(size, list(known)))
    at = known[size]
    optional = [name for name, group in at.groups.items() if group.optional]
    for name in extra:
        if name not in optional:
            raise ScenarioError(
                "reproduce",
                "--with",
                name,
                nearest(name, optional) if optional else f"{size} has no optional groups",
            )
    return {
        name: _part(HERE / paper / f"{name}.toml", at, group)
        for name, group in at.groups.items()
        if not group.optional or name in extra
    }


def _part(file: Path, size: Size, group: Group) -> Part:
    spec = load_spec(file)
    # A sweep's own keys say what it is about and come last, but for what is said of this group at this size.
    settings = {**size.set, **spec.set, **group.set}
    spec = spec.model_copy(update={"set": settings, "seeds": group.seeds or size.seeds})
    costs = group.authors_cpu_s_per_round or size.authors_cpu_s_per_round
    return Part(spec, group.cpu_s_per_round or size.cpu_s_per_round, costs)
