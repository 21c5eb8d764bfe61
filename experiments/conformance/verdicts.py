"""Suites of validation rules and verifiers: what judges updates."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from experiments.conformance.common import Conformance, check_array
from mechanisms.vocabulary import ValidationObservation, VerificationObservation


class VerifierConformance(Conformance):
    """One row of verdicts per verifier, the same for the same stream."""

    def test_verdicts(self):
        for verifier in self.made():
            assert verifier.prove_s >= 0, "prove_s must not be negative"
            assert verifier.verify_s >= 0, "verify_s must not be negative"
            for n in (0, 1, 9):
                verdicts = verifier.verdicts(self._seen(n))
                check_array(verdicts, (max(1, verifier.committee), n), bool, "verdicts")
                assert (verdicts == verifier.verdicts(self._seen(n))).all(), (
                    "the same stream must give the same verdicts"
                )

    @staticmethod
    def _seen(n: int) -> VerificationObservation:
        return VerificationObservation(
            round=1,
            workers=tuple(range(n)),
            genuine=np.arange(n) % 3 > 0,
            rng=np.random.default_rng(4),
        )


class ValidationConformance(Conformance):
    """One verdict per update; permuting updates permutes verdicts."""

    def test_verdicts(self):
        rng = np.random.default_rng(0)
        for rule in self.made():
            assert rule.baseline_epochs >= -1, "baseline_epochs must be at least -1"
            for n in (0, 1, 7):
                self._judge(rule, n, rng)

    def _judge(self, rule: Any, n: int, rng: np.random.Generator) -> None:
        accuracies = rng.random(n)
        order = rng.permutation(n)
        seen = ValidationObservation(
            round=1,
            validator=0,
            workers=tuple(range(n)),
            baseline_accuracy=0.5,
            update_accuracies=accuracies,
            global_accuracy=0.4,
            correct=rng.random((n + 1, 40)) < np.concatenate([[0.5], accuracies])[:, None],
            labels=np.arange(40) % 3,
            reports=rng.normal(0, 0.1, (3, n)),
            updates=rng.standard_normal((n, 6)).astype(np.float32),
        )
        verdicts = rule.verdicts(rule.shown(seen))
        check_array(verdicts, (n,), bool, "verdicts")
        permuted = rule.shown(_permuted(seen, order))
        assert (rule.verdicts(permuted) == verdicts[order]).all(), (
            "permuting updates must permute verdicts"
        )


def _permuted(seen: ValidationObservation, order: np.ndarray) -> ValidationObservation:
    return dataclasses.replace(
        seen,
        workers=tuple(int(i) for i in order),
        update_accuracies=seen.update_accuracies[order],
        correct=seen.correct[[0, *(order + 1)]],
        reports=seen.reports[:, order],
        updates=seen.updates[order],
    )
