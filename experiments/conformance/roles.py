"""Suite of role rules."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from experiments.conformance.common import Conformance, refused
from mechanisms.vocabulary import Role, RoleObservation


class RoleConformance(Conformance):
    """Every eligible device gets one role, and each role at least its minimum of devices.

    The same stream draws the same roles.
    """

    def test_roles(self):
        for rule in self.made():
            least = sum(rule.minimum())
            for n in (least, least + 7):
                for seed in range(5):
                    self._assign(rule, n, seed)

    def test_too_few_devices_is_an_error(self):
        for rule in self.made():
            with refused(ValueError, "one device less than the minimum"):
                rule.assign(self._seen(sum(rule.minimum()) - 1, 0))

    def _assign(self, rule: Any, n: int, seed: int) -> None:
        assigned = rule.assign(self._seen(n, seed))
        assert set(assigned) == set(range(100, 100 + n)), "every eligible device gets a role"
        count = Counter(assigned.values())
        for role, least in zip(
            (Role.WORKER, Role.VALIDATOR, Role.MINER), rule.minimum(), strict=True
        ):
            assert count[role] >= least, f"{count[role]} of role {role}, must be at least {least}"
        assert assigned == rule.assign(self._seen(n, seed)), (
            "the same stream must draw the same roles"
        )

    @staticmethod
    def _seen(n: int, seed: int) -> RoleObservation:
        return RoleObservation(
            round=1,
            eligible=tuple(range(100, 100 + n)),
            stakes=(0,) * n,
            previous_hash=b"\0" * 32,
            rng=np.random.default_rng(seed),
            outcomes=((0, 0),) * n,
        )
