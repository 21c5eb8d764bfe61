"""Suites of what workers, validators and miners do."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.conformance.common import Conformance, check_array, check_equal
from mechanisms.vocabulary import (
    MiningObservation,
    ParameterSlot,
    UpdateRecord,
    VoteObservation,
    WorkerObservation,
)

LAYOUT = (ParameterSlot("0.weight", (4, 5), 0, 20), ParameterSlot("0.bias", (4,), 20, 4))
WIDTH = LAYOUT[-1].stop


class WorkerConformance(Conformance):
    """One row per device, the same for the same streams; what was seen stays as it is."""

    def test_submission(self):
        for behaviour in self.made():
            for k in (1, 3):
                self._submit(behaviour, k)

    def _submit(self, behaviour: Any, k: int) -> None:
        seen = self._seen(k)
        before = seen.updates.copy()
        sent = behaviour.submit(seen)
        shape = np.shape(sent.updates)
        assert shape == (k, WIDTH), f"sends rows of shape {shape}, must be {(k, WIDTH)}"
        assert len(sent.claimed_samples) == k, "one claim of samples per device"
        assert len(sent.claimed_epochs) == k, "one claim of epochs per device"
        assert (seen.updates == before).all(), "writes into the updates that it is shown"
        again = behaviour.submit(self._seen(k))
        check_equal(sent.updates, again.updates, "the same streams must give the same rows")

    def _seen(self, k: int) -> WorkerObservation:
        rng = np.random.default_rng(5)
        others, updates, global_models, previous = (
            rng.standard_normal((n, WIDTH)).astype(np.float32) for n in (4, k, k, k)
        )
        seen = WorkerObservation(
            round=1,
            devices=tuple(range(k)),
            updates=updates,
            global_models=global_models,
            samples=np.full(k, 10),
            epochs=np.full(k, 5),
            layout=LAYOUT,
            rngs=tuple(np.random.default_rng(i) for i in range(k)),
            others=others,
            previous_models=previous,
            rules={"validation": {"rule": "threshold", "params": {"threshold": 0.1}}},
            validation=lambda rows: 1 / (1 + np.linalg.norm(rows, axis=1)),
        )
        return seen.shown_to(self.plugin.knows)


class ValidatorConformance(Conformance):
    """One boolean vote per update, the same for the same stream."""

    def test_vote(self):
        for behaviour in self.made():
            for n in (0, 1, 6):
                votes = behaviour.vote(self._seen(n))
                check_array(votes, (n,), bool, "votes")
                assert (votes == behaviour.vote(self._seen(n))).all(), (
                    "the same stream must give the same votes"
                )

    def _seen(self, n: int) -> VoteObservation:
        seen = VoteObservation(
            round=1,
            validator=0,
            workers=tuple(range(n)),
            verdicts=np.random.default_rng(n).random(n) < 0.5,
            rng=np.random.default_rng(2),
            coalition=frozenset({0, 3}),
            support=np.linspace(0, 1, n),
        )
        return seen.shown_to(self.plugin.knows)


class MinerConformance(Conformance):
    """A decision about its own block only, the same for the same stream."""

    def test_decision(self):
        for behaviour in self.made():
            first = behaviour.mine(self._seen())
            second = behaviour.mine(self._seen())
            assert type(first.publish) is bool, "`publish` must be True or False"
            assert (first.publish, first.censored) == (second.publish, second.censored), (
                "the same stream must give the same decision"
            )
            assert first.censored <= {0, 1, 2}, "censors workers that are not in the block"
            assert first.replaced.keys() == second.replaced.keys(), (
                "the same stream must replace the same updates"
            )
            assert first.replaced.keys() <= {0, 1, 2}, "replaces updates that are not in the block"
            for worker, row in first.replaced.items():
                check_equal(row, second.replaced[worker], "the same stream must give the same rows")

    def _seen(self) -> MiningObservation:
        records = [
            UpdateRecord(
                worker=worker,
                claimed_samples=10,
                claimed_epochs=5,
                positive=(7,),
                negative=(),
                accepted=True,
            )
            for worker in range(3)
        ]
        updates = np.ones((3, WIDTH), dtype=np.float32)
        seen = MiningObservation(
            round=1,
            miner=9,
            records=tuple(records),
            rng=np.random.default_rng(3),
            coalition=frozenset({2, 9}),
            updates=updates,
        )
        return seen.shown_to(self.plugin.knows)
