"""A protocol: a game on the kernel.

Who acts when, what is paid, what is recorded; one class in a folder or file of its own.

The kernel calls `play` once a round and records nothing by itself. What a protocol declares here is
all that the rest of the house knows of it: loader, documentation, summaries, scorecards, reports,
checkpoints, conformance and chain bridge need no edit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from mechanisms.plugin import Plugin
from mechanisms.registry import Registry
from sim import scenario as scenarios
from sim.charts import Chart
from sim.notes import Approval, Declaration, Licences, Note, Versions
from sim.recording import CORE, Column, Columns, History, Table
from sim.registries import protocols

if TYPE_CHECKING:
    from sim.kernel import Kernel

__all__ = [
    "CORE_OUTCOMES",
    "Approval",
    "Chart",
    "Column",
    "History",
    "Licences",
    "Note",
    "Outcome",
    "Protocol",
    "Table",
    "Tape",
    "Versions",
    "protocols",
]


@dataclass(frozen=True)
class Outcome:
    """What a run comes to, as one number: what summaries, scorecards, games and audits can ask for.

    Args:
        table: the recorded table that it is computed from.
        sql: an aggregate over the rows of one run, as `"arg_max(accuracy, round)"`.
        meaning: for the documentation, with the unit.
        best: which direction is good for whoever pays for the run; "": neither.
        headline: whether the summary of a single run shows it.
    """

    table: str
    sql: str
    meaning: str
    best: Literal["max", "min", ""] = ""
    headline: bool = False

    def to_plain(self) -> dict[str, Any]:
        """Return the declaration as the manifest holds it."""
        return asdict(self)


CORE_OUTCOMES = {
    "simulated_s": Outcome("rounds", "max(end_s)", "simulated seconds of the whole run", "min"),
    "issued": Outcome("rounds", "sum(issued)::bigint", "base units created"),
    "burned": Outcome("rounds", "sum(burned)::bigint", "base units destroyed"),
    "honest_utility": Outcome(
        "participants",
        "sum(utility) filter (where not adversary)"
        " / count(distinct device) filter (where not adversary)",
        "utility of an honest device in the whole run, base units",
        "max",
    ),
    "honest_income": Outcome(
        "participants",
        "sum(income) filter (where not adversary)"
        " / count(distinct device) filter (where not adversary)",
        "income of an honest device in the whole run, base units",
        "max",
    ),
    "adversary_utility": Outcome(
        "participants",
        "sum(utility) filter (where adversary) / count(distinct device) filter (where adversary)",
        "utility of an adversary in the whole run, base units",
        "min",
    ),
    "adversary_income": Outcome(
        "participants",
        "sum(income) filter (where adversary) / count(distinct device) filter (where adversary)",
        "income of an adversary in the whole run, base units",
        "min",
    ),
}
"""What runs of every protocol come to."""


@dataclass(frozen=True)
class Tape:
    """Observations that are recorded so that other rules can be compared on the same events.

    Args:
        tables: the recorded tables that hold them.
        kind: the kind of rules that are compared.
        reader: `module:function` that takes the opened run and the rules, and returns what each
            would have paid.
    """

    tables: tuple[str, ...]
    kind: str
    reader: str


class Trait(NamedTuple):
    """A kind of honest participant, as slow devices: how an audit makes some, and knows them.

    Args:
        keys: dotted keys under which participants differ in it.
        measure: expression over a participant's rows of table `participants`; the smaller, the more
            it is of that kind.
    """

    keys: Mapping[str, Any]
    measure: str


class Dose(NamedTuple):
    """One deviation along one key, as a copier with and without commitments.

    Args:
        deviation: keys of the group that deviates, but for its size.
        key: dotted scenario key.
        values: of the key, in the order of the curve.
    """

    deviation: Mapping[str, Any]
    key: str
    values: tuple[Any, ...]


class Protocol(Plugin, ABC):
    """A game. Subclasses set `name`, `summary`, `reference`, what they declare, and `play`."""

    Scenario: ClassVar[type[scenarios.Scenario]] = scenarios.Scenario
    """Its keys: typed, documented, checked. A key that is not there is refused."""
    tables: ClassVar[Mapping[str, Table | Columns]] = {}
    """Its tables, and by name of a core table its own columns of that."""
    outcomes: ClassVar[Mapping[str, Outcome]] = {}
    """What its runs come to, by name."""
    notes: ClassVar[tuple[Declaration, ...]] = ()
    """Notes that a chain records of its runs beside money."""
    charts: ClassVar[tuple[Chart, ...]] = ()
    """Figures of its runs beside those that `experiments/figures` has for their columns."""
    kinds: ClassVar[tuple[Registry, ...]] = ()
    """Kinds of rules and behaviours that it brings along."""
    open_ended: ClassVar[bool] = True
    """Whether rounds are the same however many are to come: else its runs cannot be extended."""
    tape: ClassVar[Tape | None] = None
    """How its rules can be compared off-policy."""

    provoked: ClassVar[Mapping[str, Any]] = {}
    """Dotted keys that act only where somebody deviates, and the values that audits give them."""
    traits: ClassVar[Mapping[str, Trait]] = {}
    """Kinds of honest participants that may fare worse than others: audits look at each."""
    shut_out: ClassVar[str] = ""
    """Expression over a row of table `participants`: whether one that wants a place has lost it;
    empty where nobody can."""
    curves: ClassVar[Mapping[str, Dose]] = {}
    """Curves of one deviation over one key that audits draw, beside those of its behaviours."""

    def __init__(self, kernel: Kernel) -> None:
        """Build participants and rules; raise `SettingError` for what nobody could play."""
        super().__init__()
        self.kernel = kernel

    @abstractmethod
    def play(self) -> None:
        """Play one round: act, pay, record, and move the clock on.

        `kernel.clock.round` is its number.
        """

    def close(self) -> None:
        """Record or give back what is left after the last round."""

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what lasts beyond a round, in flight or not: JSON values and arrays by name."""
        return {}, {}

    def history(self, after: int) -> History:
        """Return what was added to the protocol's own records after a mark, 0 at first.

        For records that only ever grow: a checkpoint writes each of their rows once, where `state`
        is written whole every time. As `History(self.log[after:], len(self.log))`.
        """
        return History([], 0)

    def restore(self, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from `state`; `state["history"]` has all rows that `history` gave."""

    def facts(self) -> dict[str, Any]:
        """Return more entries for the manifest of a run: JSON values."""
        return {}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Return plain values of a scenario of about a second, for the conformance suite."""
        return {"protocol": cls.name, "rounds": 3, "devices": 6}

    @classmethod
    def audited(cls) -> dict[str, Any]:
        """Return plain values of the scenario in which rules are audited: small, nobody deviates.

        Work should cost something in it, or idling could not pay.
        """
        return {key: value for key, value in cls.example().items() if key != "adversaries"}

    @classmethod
    def all_outcomes(cls) -> dict[str, Outcome]:
        """Return all that its runs come to, its own outcomes first."""
        return {**cls.outcomes, **CORE_OUTCOMES}

    @classmethod
    def all_tables(cls) -> dict[str, Table]:
        """Return all tables that its runs can have, core tables with its own columns."""
        tables = dict(CORE)
        for name, declared in cls.tables.items():
            if isinstance(declared, Table):
                tables[name] = declared
            else:
                tables[name] = CORE[name].with_columns(declared)
        return tables

    @classmethod
    def recorded(cls, scenario: scenarios.Scenario) -> Mapping[str, Table]:
        """Return the tables that are recorded under a scenario."""
        return cls.all_tables()
