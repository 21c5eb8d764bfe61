"""Side payments between workers and validators, beside the protocol and in advance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sim.world import World


def collect(
    world: World, judged: Mapping[int, Sequence[int]], time_s: float
) -> dict[int, NDArray[np.bool_]]:
    """Who pays each validator that names a price: `bool[n]` over the workers that it judges.

    A group's devices pay up to their group's `bribe`; honest ones only where they are threatened, up to `costs.concede`.
    A worker does not pay a validator of its own group, and stops when what it held at the start is spent.
    """
    paid = {v: np.zeros(len(workers), dtype=np.bool_) for v, workers in judged.items()}
    for v in sorted(judged):
        behaviour = world.participants[v].validator
        if not behaviour.price:
            continue
        for k, w in enumerate(judged[v]):
            if v not in world.coalitions[w] and behaviour.price <= _limit(
                world, w, threatened=behaviour.threatens
            ):
                paid[v][k] = world.bribe(w, v, behaviour.price, time_s)
    return paid


def _limit(world: World, worker: int, *, threatened: bool) -> int:
    """What a worker would pay for a vote."""
    p = world.participants[worker]
    if p.adversary and p.active:
        return world.groups[worker].bribe
    return world.scenario.costs.concede if threatened else 0
