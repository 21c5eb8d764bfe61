"""Verification by cryptographic proof or trusted hardware: accurate but expensive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import param
from mechanisms.verifiers.base import Verifier
from mechanisms.vocabulary import VerificationObservation


class Proof(Verifier):
    """Never errs; the worker pays in computing time."""

    name = "proof"
    summary = "a succinct proof of the training, perfect and costly to make"
    reference = "guide on on-chain coordination, zk-SNARK verification of reveals"
    individual = False

    @dataclass(frozen=True)
    class Params:
        prove_s: float = param(
            60.0,
            help="time that a worker needs to prove its training",
            unit="seconds",
            ge=0,
            le=1e9,
        )
        verify_s: float = param(0.05, help="time to check a proof", unit="seconds", ge=0, le=1e6)

    params: Params

    @property
    def prove_s(self) -> float:
        return self.params.prove_s

    @property
    def verify_s(self) -> float:
        return self.params.verify_s

    def verdicts(self, seen: VerificationObservation) -> NDArray[np.bool_]:
        return seen.genuine[None].copy()


class Enclave(Verifier):
    """Attested execution: right unless the enclave was breached."""

    name = "enclave"
    summary = "a trusted execution environment that may be breached"
    reference = "guide on on-chain coordination, verification by trusted execution (SGX)"
    individual = False
    stochastic = True

    @dataclass(frozen=True)
    class Params:
        breach: float = param(
            0.05,
            help="probability that a cheater makes the enclave attest what it did not do",
            ge=0,
            le=1,
        )
        prove_s: float = param(
            1.0, help="time that attested execution adds for a worker", unit="seconds", ge=0, le=1e9
        )

    params: Params

    @property
    def prove_s(self) -> float:
        return self.params.prove_s

    def verdicts(self, seen: VerificationObservation) -> NDArray[np.bool_]:
        broken = seen.rng.random(len(seen.genuine)) < self.params.breach
        return (seen.genuine | broken)[None]
