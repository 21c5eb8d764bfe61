"""How an audit is made: how many runs, how sure, what counts as a gain."""

from __future__ import annotations

import math
from dataclasses import dataclass

from experiments.confidence import ASSUMED
from fedstake.errors import InputError
from mechanisms.plugin import nearest

CLAIMS = {
    "deviations": "nobody gains by deviating alone",
    "sybils": "nobody gains by splitting into identities",
    "coalitions": "no coalition gains",
    "rationality": "honest devices do not lose by taking part, on average",
    "inclusion": "no honest device loses its place",
    "settlement": "nothing stays behind in the rule's escrows",
}
"""What can be claimed of a rule, by name."""
LEAST_RUNS = 60
SELDOM = 0.1
"""Largest probability of a run with a fault, as an honest device that loses its place, that counts
as none."""


@dataclass(frozen=True)
class AuditSettings:
    """How an audit is made.

    Args:
        budget: runs at most.
        level: of all intervals together.
        epsilon: largest gain that counts as none, base units per run; 0: a share of what an honest
            device has, `tolerance`.
        tolerance: that share, of the mean absolute payoff of honest devices in the first runs.
        method: of the intervals, a name of `confidence.ASSUMED`.
        limits: least and largest possible gain of a run, for "empirical-bernstein".
        identities: of an operator that splits itself.
        coalition: members of the largest coalition.
        outside: payoff of a device that does not take part, base units per run.
        claims: what must not fail, of `CLAIMS`.
    """

    budget: int = 1_000
    level: float = 0.95
    epsilon: float = 0.0
    tolerance: float = 0.05
    method: str = "t"
    limits: tuple[float, float] | None = None
    identities: tuple[int, ...] = (2, 3, 5)
    coalition: int = 4
    outside: float = 0.0
    claims: tuple[str, ...] = ("deviations",)

    def __post_init__(self) -> None:
        for claim in self.claims:
            if claim not in CLAIMS:
                raise InputError(f"--claim {claim}: no such claim; {nearest(claim, list(CLAIMS))}")
        if self.method not in ASSUMED:
            known = nearest(self.method, list(ASSUMED))
            raise InputError(f"--method {self.method}: no such method; {known}")
        if self.method == "empirical-bernstein" and self.limits is None:
            raise InputError("--method empirical-bernstein: needs --limits LOW,HIGH of a gain")
        if self.budget < LEAST_RUNS:
            raise InputError(f"--budget {self.budget}: must be at least {LEAST_RUNS} runs")
        if not 0.5 < self.level < 1:
            raise InputError(f"--level {self.level:g}: must be between 0.5 and 1")
        if not 0 <= self.epsilon < math.inf:
            raise InputError(f"--epsilon {self.epsilon:g}: must be 0 or more; 0: by --tolerance")
        if self.limits is not None and not all(map(math.isfinite, self.limits)):
            raise InputError(f"--limits {self.limits}: must be finite")
        if not 0 < self.tolerance <= 1:
            raise InputError(f"--tolerance {self.tolerance:g}: must be above 0, at most 1")

    @property
    def honest_seeds(self) -> int:
        """Seeds of the runs in which nobody deviates: a part of the budget, six to forty."""
        return honest_seeds(self.budget)


def honest_seeds(budget: int) -> int:
    """Return the seeds of the runs in which nobody deviates, of so many runs in all."""
    return min(40, max(6, budget // 20))


SHARES = {
    "deviations": 0.48,
    "curves": 0.08,
    "sybils": 0.12,
    "coalitions": 0.12,
    "search": 0.08,
    "remedies": 0.08,
    "smallest": 0.04,
}
"""Shares of the budget; what a part leaves goes to the next."""
