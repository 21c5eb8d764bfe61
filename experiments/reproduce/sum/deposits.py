"""What a datum costs under both published formulas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.reproduce.evidence import Evidence
from experiments.reproduce.verdicts import Measure
from mechanisms.markets.base import MarketRule
from mechanisms.registries import markets
from mechanisms.vocabulary import TOKEN, Offering, Refused

FORMULAS: Mapping[str, Mapping[str, Any]] = {
    "simulation": {},
    "chain": {
        "formula": "chain",
        "cost_weight": 0.001,
        "refund_wait_s": 15.0,
        "sweep_wait_s": 20.0,
    },
}
"""By name the parameters of the rule: weight 1 in the simulation, 10^15 wei on chain."""
SECONDS = (1, 2, 3, 4, 10, 60, 120, 300, 600, 1_200, 3_600, 86_400)
"""Times between two data of which a deposit is published."""
FIRST_S, RICH = 7.0, 10**6 * TOKEN


def deposit(formula: str, seconds: int) -> Measure:
    """Measure the tokens that a datum is charged so long after another; no run is needed."""

    def measure(evidence: Evidence) -> list[float]:
        rule: MarketRule = markets.create("deposit-refund-take", dict(FORMULAS[formula]))
        memory = rule.start(0.0)
        costs = [
            rule.add(memory, Offering(device, time_s, RICH, 0, 1))
            for device, time_s in enumerate((FIRST_S, FIRST_S + seconds))
        ]
        return [cost / TOKEN for cost in costs[1:] if not isinstance(cost, Refused)]

    return measure
