"""Validators and miners drawn by stake or by past acceptance."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from mechanisms.roles.base import RoleRule
from mechanisms.vocabulary import Role, RoleObservation


class _Weighted(RoleRule):
    """A draw without replacement by weight: first miners, then validators."""

    @dataclass(frozen=True)
    class Params:
        validators: int = param(5, help="validators of a round", ge=1)
        miners: int = param(3, help="miners of a round; everybody else works", ge=1)

    params: Params

    def minimum(self) -> tuple[int, int, int]:
        return 1, self.params.validators, self.params.miners

    def assign(self, seen: RoleObservation) -> dict[int, Role]:
        devices = self.enough(seen.eligible)
        # Efraimidis and Spirakis: the largest of u^(1/w), here of log(u)/w, are a draw without
        # replacement by weight.
        keys = np.log(seen.rng.random(len(devices))) / self.weights(seen)
        order = [devices[i] for i in np.argsort(-keys, kind="stable")]
        miners, validators = self.params.miners, self.params.validators
        roles = dict.fromkeys(order, Role.WORKER)
        roles |= dict.fromkeys(order[:miners], Role.MINER)
        roles |= dict.fromkeys(order[miners : miners + validators], Role.VALIDATOR)
        return {d: roles[d] for d in devices}

    @abstractmethod
    def weights(self, seen: RoleObservation) -> NDArray[np.float64]:
        """Return positive weights of the eligible devices."""


class StakeWeighted(_Weighted):
    """Draws miners, then validators, with probability proportional to stake plus one."""

    name = "stake-weighted"
    summary = "validators and miners drawn by stake, the rest work"
    reference = "proof of stake; guide on on-chain coordination, permissionless by stake"
    stochastic = True

    def weights(self, seen: RoleObservation) -> NDArray[np.float64]:
        return np.array(seen.stakes, dtype=np.float64) + 1


class ReputationWeighted(_Weighted):
    """Draws by reputation: (accepted + 1) / (accepted + rejected + 2) of a device's updates."""

    name = "reputation-weighted"
    summary = "validators and miners drawn by the share of their updates that were accepted"
    reference = "guide on on-chain coordination, reputation-weighted selection; rule of succession"
    stochastic = True

    def weights(self, seen: RoleObservation) -> NDArray[np.float64]:
        return np.array(
            [(good + 1) / (good + bad + 2) for good, bad in seen.outcomes], dtype=np.float64
        )
