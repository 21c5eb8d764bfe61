"""VBFL's role draw: minimum counts with wildcards."""

from __future__ import annotations

from dataclasses import dataclass

from mechanisms.plugin import PluginError, param
from mechanisms.roles.base import RoleRule
from mechanisms.vocabulary import Role, RoleObservation


class Counts(RoleRule):
    """Shuffles the devices: w workers, m miners, v validators, then roles drawn for the rest."""

    name = "counts"
    summary = "minimum counts per role, the rest drawn uniformly (VBFL)"
    reference = "Chen et al., arXiv:2101.03300; authors' code, main.py role assignment"
    stochastic = True
    examples = ({}, {"counts": "12,5,3"}, {"counts": "*,5,*"})

    @dataclass(frozen=True)
    class Params:
        counts: str = param("*,*,*", help="minimum workers,validators,miners; '*' is at least one")

        def __post_init__(self) -> None:
            fields = [f.strip() for f in self.counts.split(",")]
            good = len(fields) == 3 and all(
                f == "*" or (f.isdigit() and int(f) >= 1) for f in fields
            )
            if not good:
                raise PluginError(
                    "must be three fields like '12,5,3', each '*' or at least 1",
                    "counts",
                    self.counts,
                )

    params: Params

    def minimum(self) -> tuple[int, int, int]:
        w, v, m = self.params.counts.replace("*", "1").split(",")
        return int(w), int(v), int(m)

    def assign(self, seen: RoleObservation) -> dict[int, Role]:
        workers, validators, miners = self.minimum()
        drawn = [Role.WORKER] * workers + [Role.MINER] * miners + [Role.VALIDATOR] * validators
        spare = len(self.enough(seen.eligible)) - len(drawn)
        order = seen.rng.permutation(len(seen.eligible))
        extra = seen.rng.integers(0, 3, size=spare)
        drawn += [(Role.WORKER, Role.MINER, Role.VALIDATOR)[i] for i in extra]
        return {seen.eligible[d]: role for d, role in zip(order.tolist(), drawn, strict=True)}
