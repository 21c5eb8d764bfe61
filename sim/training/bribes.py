"""Side payments between workers and validators, beside the protocol and in advance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mechanisms import answers
from sim.money.treasury import Treasury
from sim.population.population import Population


def collect(
    population: Population,
    treasury: Treasury,
    judged: Mapping[int, Sequence[int]],
    *,
    concede: int,
    time_s: float,
) -> dict[int, NDArray[np.bool_]]:
    """Let workers bribe the validators that name a price; return who paid each.

    The result is `bool[n]` over the workers that a validator judges.

    A group's devices pay up to their group's `bribe`; honest ones only where they are threatened,
    up to `concede`. A worker does not pay a validator of its own group, and stops when what it held
    at the start is spent.
    """
    paid = {v: np.zeros(len(workers), dtype=np.bool_) for v, workers in judged.items()}
    for v in sorted(judged):
        behaviour = population[v].behaviour("validator")
        price = answers.whole(behaviour, "price", behaviour.price, who=f"device {v}")
        if not price:
            continue
        threat = concede if behaviour.threatens else 0
        for k, w in enumerate(judged[v]):
            if v in population.coalitions[w] or price > _limit(population, w, threat):
                continue
            paid[v][k] = treasury.pay_aside(w, v, price, "bribe", time_s)
    return paid


def _limit(population: Population, worker: int, threat: int) -> int:
    """Return what a worker would pay for a vote; `threat`: what an honest one pays."""
    p = population[worker]
    if not (p.adversary and p.active):
        return threat
    settings = population.groups[worker].settings
    return getattr(settings, "bribe", 0)
