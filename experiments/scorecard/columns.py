"""What the scorecard can measure: which direction is good, and what it takes of a sweep."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.orderings import Best
from experiments.rundir import RunError
from experiments.scorecard.settings import Objective, ScorecardSettings
from mechanisms.plugin import nearest
from sim.protocol import CORE_OUTCOMES

Needs = Mapping[str, Sequence[str]]
"""Columns by table."""


@dataclass(frozen=True)
class Measure:
    """One column of the scorecard.

    Args:
        best: which direction is good for whoever chooses the mechanism.
        outcomes: the outcomes that it is computed from.
        needs: the recorded columns that it is computed from.
    """

    best: Best
    outcomes: tuple[str, ...] = ()
    needs: Needs = field(default_factory=dict)


ACCURACY: Needs = {"rounds": ("accuracy",)}
PENALTY: Needs = {"participants": ("penalty",)}
TAPE: Needs = {"tape": ("updates", "start")}
MEASURES = {
    "accuracy": Measure("max", outcomes=("accuracy",)),
    "accuracy_low": Measure("max", outcomes=("accuracy",)),
    "accuracy_high": Measure("max", outcomes=("accuracy",)),
    "reached_target": Measure("max", needs=ACCURACY),
    "rounds_to_target": Measure("min", needs=ACCURACY),
    "time_to_target_s": Measure("min", needs=ACCURACY),
    **{name: Measure(o.best) for name, o in CORE_OUTCOMES.items() if o.best},
    "advantage": Measure("min"),
    "spent": Measure("min"),
    "budget_low": Measure("max"),
    "budget_high": Measure("max"),
    "honest_rejected": Measure("min", outcomes=("accepted_honest", "rejected_honest")),
    "adversary_rejected": Measure("max", outcomes=("accepted_adversary", "rejected_adversary")),
    "slashed_adversary": Measure("max", needs=PENALTY),
    "slashed_honest": Measure("min", needs=PENALTY),
    "ir_violations": Measure("min"),
    "ic_gap": Measure("min"),
    "ic_gap_low": Measure("min"),
    "ic_gap_high": Measure("min"),
    "gini": Measure("min"),
    "nakamoto": Measure("max"),
    "cost_per_round": Measure("min", needs={"rounds": ("updates",)}),
    "fairness_l1": Measure("min", needs=TAPE),
    "fairness_rank": Measure("max", needs=TAPE),
    "fairness_under": Measure("min", needs=TAPE),
}
"""Every measure that has a name of its own."""
SYBIL = re.compile(r"sybil_gain_\d+(_low|_high)?")
"""Names of the gains of k identities."""


def direction(measure: str, outcomes: Mapping[str, str]) -> str:
    """Return which direction of a measure is good, "" where nobody has said it.

    `outcomes` has the declared direction of each outcome of the sweep.
    """
    if SYBIL.fullmatch(measure):
        return "min"
    if measure in MEASURES:
        return MEASURES[measure].best
    return outcomes.get(measure, "")


def directed(objective: Objective, outcomes: Mapping[str, str], place: str) -> Objective:
    """Return an objective that states its direction: as given, else that of its measure.

    Raises `RunError` where neither the objective nor the measure says it.
    """
    if objective.best is not None:
        return objective
    best = direction(objective.measure, outcomes)
    if not best:
        raise RunError(
            f"{place}: scorecard.objective.best: must be given for {objective.measure!r}, "
            'whose good direction is not known: "max" or "min"'
        )
    return objective.model_copy(update={"best": best})


def check_measures(objective: Objective, known: Collection[str], place: str) -> None:
    """Raise `RunError`, in one line, for all measures asked for that are not known."""
    asked = [(f"measure = {objective.measure!r}", objective.measure)]
    asked += [(f"bounds.{name}", name) for name in objective.bounds]
    missing = [
        f"scorecard.objective.{key}: no measure of this sweep; {nearest(name, list(known))}"
        for key, name in asked
        if name not in known
    ]
    if missing:
        raise RunError(f"{place}: {'; '.join(missing)}")


def possible(
    s: ScorecardSettings,
    outcomes: Collection[str],
    recorded: Callable[[Needs], bool],
    levels: Collection[str],
) -> Iterator[str]:
    """Yield the measures that a sweep can have.

    Args:
        s: settings of the scorecard.
        outcomes: names of all outcomes that its protocols declare.
        recorded: whether some run records these columns.
        levels: those of the adversary.
    """
    others = {s.honest, *s.sybils.values(), *s.single.values()}
    deviates = bool(s.deviations) or (s.deviations is None and not set(levels) <= others)
    for name, measure in MEASURES.items():
        played = deviates or not name.startswith("ic_")
        if played and set(measure.outcomes) <= set(outcomes) and recorded(measure.needs):
            yield name
    for k in s.sybils:
        yield from (f"sybil_gain_{k}", f"sybil_gain_{k}_low", f"sybil_gain_{k}_high")
    yield from (name for name in outcomes if name not in MEASURES)
