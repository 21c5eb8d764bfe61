"""What every plug-in of a kind promises. Inherit a class, set `plugin` (and `configurations`), and pytest does the rest:

from experiments.conformance import PayoutConformance

class TestMyRule(PayoutConformance):
    plugin = MyRule
"""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections import Counter
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mechanisms import registries
from mechanisms.combined import Combined
from mechanisms.plugin import Plugin, PluginError
from mechanisms.vocabulary import (
    AggregationObservation,
    BlockObservation,
    ChoiceObservation,
    Conduct,
    MiningObservation,
    OpeningObservation,
    ParameterSlot,
    Role,
    RoleObservation,
    UpdateRecord,
    ValidationObservation,
    VerificationObservation,
    VoteObservation,
    WorkerObservation,
)


def inherited(**options: Any) -> Any:
    """Hypothesis warns when one test method runs in several classes; these keep no state, so that is what we want."""
    return settings(suppress_health_check=[HealthCheck.differing_executors], **options)


class Conformance:
    """Common to all kinds."""

    plugin: ClassVar[Any]
    configurations: ClassVar[list[dict[str, Any]]] = [{}]

    def made(self) -> list[Any]:
        return [self.plugin.configure(c) for c in self.configurations]

    def test_metadata_is_complete(self):
        assert issubclass(self.plugin, Plugin)
        assert self.plugin.name == self.plugin.name.strip().lower() != ""
        assert self.plugin.summary
        assert self.plugin.reference
        assert self.plugin.__doc__
        for f in dataclasses.fields(self.plugin.Params):
            assert f.metadata.get("help"), f"{f.name} has no help"

    def test_parameters_are_frozen_and_checked(self):
        assert dataclasses.is_dataclass(self.plugin.Params)
        assert self.plugin.Params.__dataclass_params__.frozen
        with pytest.raises(PluginError):
            self.plugin.configure({"no_such_parameter": 1})

    def test_serialisable(self):
        for made in self.made():
            again = pickle.loads(pickle.dumps(made))
            assert again.params == made.params


DEVICES = 22
TARGET = np.linspace(-1, 1, 6, dtype=np.float32)


class Utility:
    """Accuracies of means that are highest at `TARGET`, in steps as real ones are; of `start` for nobody."""

    def __init__(self, updates: np.ndarray, start: np.ndarray) -> None:
        self.updates, self.start = updates.astype(np.float64), start.astype(np.float64)

    def __call__(self, members: np.ndarray) -> np.ndarray:
        assert members.dtype == bool
        assert members.shape == (len(members), len(self.updates))
        means = [self.updates[m].mean(0) if m.any() else self.start for m in members]
        return np.array(
            [round(1 / (1 + float(np.linalg.norm(mean - TARGET))), 3) for mean in means]
        )


@st.composite
def blocks(draw: Any) -> BlockObservation:
    workers = draw(st.lists(st.integers(0, 9), unique=True, max_size=6))
    validators = list(range(10, 10 + draw(st.integers(1, 4))))
    records = []
    for w in sorted(workers):
        votes = draw(
            st.lists(
                st.sampled_from((True, False, None)),
                min_size=len(validators),
                max_size=len(validators),
            )
        )
        samples, epochs = draw(st.integers(0, 10_000)), draw(st.integers(0, 20))
        records.append(
            UpdateRecord.from_votes(
                worker=w,
                claimed_samples=samples,
                claimed_epochs=epochs,
                positive=tuple(
                    v for v, vote in zip(validators, votes, strict=True) if vote is True
                ),
                negative=tuple(
                    v for v, vote in zip(validators, votes, strict=True) if vote is False
                ),
                verified_samples=samples // 2,
                verified_epochs=epochs,
                reports=tuple(
                    (v, draw(st.sampled_from((-1.0, 0.0, 0.25, 1.0)))) for v in validators
                ),
            )
        )
    rng = np.random.default_rng(draw(st.integers(0, 1_000)))
    updates = rng.standard_normal((len(records), 6)).astype(np.float32)
    start = rng.standard_normal(6).astype(np.float32)
    return BlockObservation(
        round=draw(st.integers(1, 30)),
        miner=draw(st.sampled_from((20, 21, None))),
        records=tuple(records),
        memory={},
        stakes=tuple(draw(st.lists(st.integers(0, 10**6), min_size=DEVICES, max_size=DEVICES))),
        updates=updates,
        start=start,
        result=updates.mean(0) if records else start,
        utility=Utility(updates, start),
        conduct=draw(conducts(workers, validators)),
    )


@st.composite
def conducts(draw: Any, workers: list[int], validators: list[int]) -> Conduct:
    fault = draw(st.sampled_from(("", "wrong", "absent")))
    return Conduct(
        aggregator=draw(st.sampled_from((20, 21, None))),
        unrevealed=draw(st.frozensets(st.integers(0, 9))) - set(workers),
        malformed=frozenset(),
        fault=fault,
        challenger=draw(st.sampled_from(validators)) if fault == "wrong" else None,
        false_challengers=frozenset()
        if fault
        else draw(st.frozensets(st.sampled_from(validators))),
    )


class PayoutConformance(Conformance):
    """Integers from whoever may pay to whoever may be paid, no account below zero, no dependence on order, no surprise."""

    def opened(self, rule: Any) -> tuple[dict[Any, int], dict[str, Any]]:
        """Balances after the opening, and the memory."""
        balances: dict[Any, int] = dict.fromkeys(range(DEVICES), 10**9) | dict(rule.accounts())
        opening = rule.open(
            OpeningObservation(devices=tuple(range(DEVICES)), balances=(10**9,) * DEVICES)
        )
        self.post(balances, opening.payments, rule, opening=True)
        return balances, opening.memory or {}

    def post(
        self, balances: dict[Any, int], payments: Any, rule: Any, *, opening: bool = False
    ) -> None:
        named = set(rule.accounts())
        for p in payments:
            assert type(p.amount) is int
            assert p.amount >= 0
            assert p.reason
            assert (
                p.payer == "issuance" or p.payer in named or (opening and p.payer in range(DEVICES))
            ), p
            assert p.payee == "burn" or p.payee in named or p.payee in range(DEVICES), p
            if p.payer != "issuance":
                balances[p.payer] -= p.amount
            if p.payee != "burn":
                balances[p.payee] += p.amount
        assert min(balances.values()) >= 0

    def shown(self, rule: Any, block: BlockObservation, memory: Any) -> BlockObservation:
        return dataclasses.replace(block, memory=memory).shown_to(rule.observes)

    @inherited(max_examples=40)
    @given(chain=st.lists(blocks(), min_size=1, max_size=4), seed=st.integers(0, 100))
    def test_payments(self, chain, seed):
        for rule in self.made():
            balances, memory = self.opened(rule)
            for block in sorted(chain, key=lambda b: b.round):
                seen = self.shown(rule, block, memory)
                settled = rule.settle(seen)
                known = {r.worker for r in block.records} | {block.miner}
                known |= {v for r in block.records for v in (*r.positive, *r.negative)}
                for p in settled.payments:
                    assert not p.per_device or p.payee in known, (
                        "newly issued units go to those whom the block names"
                    )
                assert settled == rule.settle(copy.deepcopy(seen))
                order = np.random.default_rng(seed).permutation(len(block.records))
                shuffled = dataclasses.replace(
                    seen,
                    records=tuple(seen.records[i] for i in order),
                    updates=None if seen.updates is None else seen.updates[order],
                    utility=None
                    if seen.utility is None
                    else Utility(block.updates[order], block.start),
                )
                other = rule.settle(shuffled)
                assert Counter(settled.payments) == Counter(other.payments)
                memory = memory if settled.memory is None else settled.memory
                assert other.memory in (None, memory)
                assert json.loads(json.dumps(memory)) == memory, "a memory is plain JSON"
                self.post(balances, settled.payments, rule)
            self.post(balances, rule.close(memory).payments, rule)

    @inherited(max_examples=40)
    @given(block=blocks())
    def test_renaming_devices_renames_payments(self, block):
        def rename(d: Any) -> Any:
            return DEVICES - 1 - d if type(d) is int else d

        renamed = dataclasses.replace(
            block,
            miner=rename(block.miner),
            stakes=block.stakes[::-1],
            conduct=dataclasses.replace(
                block.conduct,
                aggregator=rename(block.conduct.aggregator),
                challenger=rename(block.conduct.challenger),
                unrevealed=frozenset(map(rename, block.conduct.unrevealed)),
                false_challengers=frozenset(map(rename, block.conduct.false_challengers)),
            ),
            records=tuple(
                dataclasses.replace(
                    r,
                    worker=rename(r.worker),
                    positive=tuple(rename(v) for v in r.positive),
                    negative=tuple(rename(v) for v in r.negative),
                    reports=tuple((rename(v), score) for v, score in r.reports),
                )
                for r in block.records
            ),
        )
        for rule in self.made():
            if not rule.anonymous:
                continue
            _, memory = self.opened(rule)
            plain, other = (rule.settle(self.shown(rule, b, memory)) for b in (block, renamed))
            expected = Counter(
                (rename(p.payee), rename(p.payer), p.amount, p.reason) for p in plain.payments
            )
            assert (
                Counter((p.payee, p.payer, p.amount, p.reason) for p in other.payments) == expected
            )


class PartConformance(PayoutConformance):
    """Around any payout rule a part leaves a payout rule."""

    around: ClassVar[tuple[tuple[str, dict[str, Any]], ...]] = (
        ("flat", {}),
        ("vbfl", {}),
        ("reputation-weighted", {}),
        ("equal-share", {"deadline": 5, "stake": 10}),
        ("decentralml", {"improve_only": False, "score": 0.3}),
    )

    def made(self) -> list[Any]:
        parts = super().made()
        return [
            Combined(registries.payouts.create(name, params), [p])
            for name, params in self.around
            for p in parts
        ]

    def test_serialisable(self):
        for made in self.made():
            (part,) = pickle.loads(pickle.dumps(made)).parts
            assert part.params == made.parts[0].params


class VerifierConformance(Conformance):
    """A row of verdicts per verifier, the same for the same stream; no genuine update fails where nobody errs."""

    def test_verdicts(self):
        for verifier in self.made():
            assert verifier.prove_s >= 0
            assert verifier.verify_s >= 0
            for n in (0, 1, 9):
                genuine = np.arange(n) % 3 > 0

                def seen(genuine=genuine):
                    return VerificationObservation(
                        round=1,
                        workers=tuple(range(len(genuine))),
                        genuine=genuine.copy(),
                        rng=np.random.default_rng(4),
                    )

                verdicts = verifier.verdicts(seen())
                assert verdicts.shape == (max(1, verifier.committee), n)
                assert verdicts.dtype == bool
                assert (verdicts == verifier.verdicts(seen())).all()


class RoleConformance(Conformance):
    """Exactly one role per eligible device, at least the minimum of each, the same draw for the same stream."""

    def test_roles(self):
        for rule in self.made():
            w, v, m = rule.minimum()
            for n in (w + v + m, w + v + m + 7):
                for seed in range(5):
                    first = rule.assign(self._seen(n, seed))
                    assert set(first) == set(range(100, 100 + n))
                    count = Counter(first.values())
                    assert count[Role.WORKER] >= w
                    assert count[Role.VALIDATOR] >= v
                    assert count[Role.MINER] >= m
                    assert first == rule.assign(self._seen(n, seed))

    def test_too_few_devices_is_an_error(self):
        for rule in self.made():
            with pytest.raises(ValueError):
                rule.assign(self._seen(sum(rule.minimum()) - 1, 0))

    @staticmethod
    def _seen(n: int, seed: int) -> RoleObservation:
        devices = tuple(range(100, 100 + n))
        return RoleObservation(
            round=1,
            eligible=devices,
            stakes=(0,) * n,
            previous_hash=b"\0" * 32,
            rng=np.random.default_rng(seed),
            outcomes=((0, 0),) * n,
        )


class ValidationConformance(Conformance):
    """One verdict per update; permuting updates permutes verdicts."""

    def test_verdicts(self):
        rng = np.random.default_rng(0)
        for rule in self.made():
            assert rule.baseline_epochs >= -1
            for n in (0, 1, 7):
                accuracies = rng.random(n)
                order = rng.permutation(n)
                correct = rng.random((n + 1, 40)) < np.concatenate([[0.5], accuracies])[:, None]
                reports = rng.normal(0, 0.1, (3, n))
                updates = rng.standard_normal((n, 6)).astype(np.float32)
                seen = ValidationObservation(
                    round=1,
                    validator=0,
                    workers=tuple(range(n)),
                    baseline_accuracy=0.5,
                    update_accuracies=accuracies,
                    global_accuracy=0.4,
                    correct=correct,
                    labels=np.arange(40) % 3,
                    reports=reports,
                    updates=updates,
                )
                shuffled = dataclasses.replace(
                    seen,
                    workers=tuple(order),
                    update_accuracies=accuracies[order],
                    correct=correct[[0, *(order + 1)]],
                    reports=reports[:, order],
                    updates=updates[order],
                )
                verdicts = rule.verdicts(seen)
                assert verdicts.shape == (n,)
                assert verdicts.dtype == bool
                assert (rule.verdicts(shuffled) == verdicts[order]).all()
                if not rule.individual:
                    blind = ValidationObservation(
                        round=1,
                        validator=0,
                        workers=tuple(range(n)),
                        baseline_accuracy=np.nan,
                        update_accuracies=np.full(n, np.nan),
                    )
                    assert (rule.verdicts(blind) == verdicts).all(), (
                        "what is not shown does not count"
                    )


class AggregationConformance(Conformance):
    """A finite row of the right size, inside the box that the updates span where the rule says so, whatever their order."""

    def test_aggregate(self):
        rng = np.random.default_rng(1)
        for rule in self.made():
            for n in (1, 2, 5, 12):
                updates = rng.standard_normal((n, 30)).astype(np.float32)
                samples = rng.integers(1, 100, n)
                kept = updates.copy()
                updates.setflags(write=False)  # as the world hands them over
                root = rng.standard_normal(30).astype(np.float32)
                seen = AggregationObservation(
                    round=1,
                    workers=tuple(range(n)),
                    updates=updates,
                    samples=samples,
                    global_model=np.zeros(30, np.float32),
                    root=root,
                )
                row = rule.aggregate(seen)
                assert row.shape == (30,)
                assert np.isfinite(row).all()
                assert row.dtype == np.float32
                if rule.convex:
                    assert (row >= updates.min(0) - 1e-5).all()
                    assert (row <= updates.max(0) + 1e-5).all()
                assert (updates == kept).all()
                order = rng.permutation(n)
                shuffled = dataclasses.replace(
                    seen, workers=tuple(order), updates=updates[order], samples=samples[order]
                )
                np.testing.assert_allclose(rule.aggregate(shuffled), row, atol=1e-5)

    def test_what_needs_no_single_update_needs_their_sum_only(self):
        rng = np.random.default_rng(3)
        for rule in self.made():
            if rule.individual:
                continue
            updates = rng.standard_normal((6, 30)).astype(np.float32)
            seen = AggregationObservation(
                round=1,
                workers=tuple(range(6)),
                updates=updates,
                samples=np.full(6, 7),
                global_model=np.zeros(30, np.float32),
                root=updates[0],
            )
            moved = updates + np.float32([[1], [-2], [1], [3], [-3], [0]]) * rng.standard_normal(
                30
            ).astype(np.float32)
            np.testing.assert_allclose(
                rule.aggregate(dataclasses.replace(seen, updates=moved)),
                rule.aggregate(seen),
                atol=1e-5,
            )

    def test_rows_that_are_not_finite_are_left_out(self):
        rng = np.random.default_rng(2)
        for rule in self.made():
            updates = rng.standard_normal((6, 30)).astype(np.float32)
            seen = AggregationObservation(
                round=1,
                workers=tuple(range(6)),
                updates=updates,
                samples=np.full(6, 7),
                global_model=np.zeros(30, np.float32),
                root=updates.mean(0),
            )
            poisoned = np.insert(
                updates, [2, 5], np.float32([[np.nan] * 30, [np.inf] * 30]), axis=0
            )
            row = rule.aggregate(
                dataclasses.replace(
                    seen, workers=tuple(range(8)), updates=poisoned, samples=np.full(8, 7)
                )
            )
            np.testing.assert_array_equal(row, rule.aggregate(seen))
            with pytest.raises(ValueError):
                rule.aggregate(
                    dataclasses.replace(seen, updates=np.full((6, 30), np.nan, dtype=np.float32))
                )

    def test_identical_rows_are_their_aggregate(self):
        row = np.linspace(-2, 2, 30, dtype=np.float32)
        for rule in self.made():
            for n in (1, 2, 9):
                seen = AggregationObservation(
                    round=1,
                    workers=tuple(range(n)),
                    updates=np.tile(row, (n, 1)),
                    samples=np.full(n, 5),
                    global_model=row / 2,
                    root=row,
                )
                if rule.convex:
                    np.testing.assert_allclose(rule.aggregate(seen), row, atol=1e-6)
                else:
                    assert np.isfinite(rule.aggregate(seen)).all()


class TransformConformance(Conformance):
    """One row for each, finite, in the same order, without writing into what was seen."""

    def test_rows(self):
        rng = np.random.default_rng(1)
        for transform in self.made():
            for n in (1, 2, 5, 12):
                updates = rng.standard_normal((n, 30)).astype(np.float32)
                kept = updates.copy()
                updates.setflags(write=False)
                seen = AggregationObservation(
                    round=1,
                    workers=tuple(range(n)),
                    updates=updates,
                    samples=np.full(n, 3),
                    global_model=np.zeros(30, np.float32),
                )
                rows = transform.apply(seen)
                assert rows.shape == (n, 30)
                assert rows.dtype == np.float32
                assert np.isfinite(rows).all()
                assert (updates == kept).all()
                order = rng.permutation(n)
                shuffled = dataclasses.replace(seen, workers=tuple(order), updates=updates[order])
                np.testing.assert_allclose(transform.apply(shuffled), rows[order], atol=1e-5)


LAYOUT = (ParameterSlot("0.weight", (4, 5), 0, 20), ParameterSlot("0.bias", (4,), 20, 4))


class WorkerConformance(Conformance):
    """One row per device, no writing into what was seen, the same act for the same streams."""

    def test_submission(self):
        for behaviour in self.made():
            for k in (1, 3):
                seen = self._seen(k)
                before = seen.updates.copy()
                sent = behaviour.submit(seen)
                assert np.shape(sent.updates) == (k, 24)
                assert len(sent.claimed_samples) == len(sent.claimed_epochs) == k
                assert (seen.updates == before).all()
                again = behaviour.submit(self._seen(k))
                np.testing.assert_array_equal(sent.updates, again.updates)

    def _seen(self, k: int) -> WorkerObservation:
        rng = np.random.default_rng(5)
        others = rng.standard_normal((4, 24)).astype(np.float32)
        return WorkerObservation(
            round=1,
            devices=tuple(range(k)),
            updates=rng.standard_normal((k, 24)).astype(np.float32),
            global_models=rng.standard_normal((k, 24)).astype(np.float32),
            samples=np.full(k, 10),
            epochs=np.full(k, 5),
            layout=LAYOUT,
            rngs=tuple(np.random.default_rng(i) for i in range(k)),
            others=others if "others" in self.plugin.knows else None,
            previous_models=rng.standard_normal((k, 24)).astype(np.float32)
            if "previous" in self.plugin.knows
            else None,
            rules={"validation": {"rule": "threshold", "params": {"threshold": 0.1}}}
            if "rules" in self.plugin.knows
            else None,
            validation=(lambda rows: 1 / (1 + np.linalg.norm(rows, axis=1)))
            if "validation" in self.plugin.knows
            else None,
        )


plays = st.lists(st.tuples(st.integers(0, 2), st.floats(-100, 100)), max_size=8).map(tuple)


class LearnerConformance(Conformance):
    """One of the strategies there are, the same for the same stream, whatever was played before."""

    @inherited(max_examples=40)
    @given(own=plays, history=plays, index=st.integers(0, 9), seed=st.integers(0, 99))
    def test_choice(self, own, history, index, seed):
        for learner in self.made():
            first, second = (
                learner.choose(
                    ChoiceObservation(
                        round=3,
                        device=5,
                        index=index,
                        strategies=("a", "b", "c"),
                        own=own,
                        peers=history[-3:],
                        history=history,
                        rng=np.random.default_rng(seed),
                    )
                )
                for _ in range(2)
            )
            assert first == second
            assert type(first) is int
            assert first in (0, 1, 2)


class ValidatorConformance(Conformance):
    """One boolean vote per update, the same for the same stream."""

    def test_vote(self):
        for behaviour in self.made():
            for n in (0, 1, 6):
                verdicts = np.random.default_rng(n).random(n) < 0.5

                def seen(verdicts=verdicts, n=n):
                    support = np.linspace(0, 1, n) if "votes" in self.plugin.knows else None
                    rng = np.random.default_rng(2)
                    return VoteObservation(
                        round=1,
                        validator=0,
                        workers=tuple(range(n)),
                        verdicts=verdicts.copy(),
                        rng=rng,
                        coalition=frozenset({0, 3}),
                        support=support,
                    )

                votes = behaviour.vote(seen())
                assert votes.shape == (n,)
                assert votes.dtype == bool
                assert (votes == behaviour.vote(seen())).all()


class MinerConformance(Conformance):
    """A decision about its own block only."""

    def test_decision(self):
        records = tuple(
            UpdateRecord.from_votes(
                worker=w, claimed_samples=10, claimed_epochs=5, positive=(7,), negative=()
            )
            for w in range(3)
        )
        updates = np.ones((3, 24), dtype=np.float32) if "updates" in self.plugin.knows else None
        for behaviour in self.made():
            first, second = (
                behaviour.mine(
                    MiningObservation(
                        round=1,
                        miner=9,
                        records=records,
                        rng=np.random.default_rng(3),
                        coalition=frozenset({2, 9}),
                        updates=updates,
                    )
                )
                for _ in range(2)
            )
            assert (first.publish, first.censored) == (second.publish, second.censored)
            assert type(first.publish) is bool
            assert first.censored <= {0, 1, 2}
            assert first.replaced.keys() == second.replaced.keys() <= {0, 1, 2}
            for w, row in first.replaced.items():
                np.testing.assert_array_equal(row, second.replaced[w])
