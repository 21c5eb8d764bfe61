"""Suites of aggregation rules and transforms: what turns rows of updates into other rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from experiments.conformance.common import Conformance, check_array, check_equal, refused
from mechanisms.vocabulary import AggregationObservation

WIDTH = 30


def observation(updates: np.ndarray, samples: Any = 7, **changes: Any) -> AggregationObservation:
    """Return an observation of these updates; the model before and the root update are zero."""
    n = len(updates)
    seen = AggregationObservation(
        round=1,
        workers=tuple(range(n)),
        updates=updates,
        samples=np.broadcast_to(np.asarray(samples), n).copy(),
        global_model=np.zeros(WIDTH, np.float32),
        root=np.zeros(WIDTH, np.float32),
    )
    return dataclasses.replace(seen, **changes)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Draw standard normal numbers, `float32`."""
    return rng.standard_normal(shape).astype(np.float32)


def permuted(seen: AggregationObservation, order: np.ndarray) -> AggregationObservation:
    """Return the same updates in another order."""
    return dataclasses.replace(
        seen,
        workers=tuple(int(i) for i in order),
        updates=seen.updates[order],
        samples=seen.samples[order],
    )


def check_used(rule: Any) -> None:
    """Check that what `used` names are parameters, used with no more than was asked for."""
    for n in (1, 2, 5, 1_000):
        for name, used in rule.used(n).items():
            asked = getattr(rule.params, name, None)
            assert asked is not None, f"`used` names {name!r}, which is no parameter"
            assert 0 <= used <= asked, f"uses {name} = {used} of {n} updates, asked for {asked}"


class AggregationConformance(Conformance):
    """A finite row of the right size that does not depend on the order of the updates.

    A rule that says `convex = True` stays inside the box that the updates span.
    """

    def test_aggregate(self):
        rng = np.random.default_rng(1)
        for rule in self.made():
            check_used(rule)
            for n in (1, 2, 5, 12):
                updates = normal(rng, n, WIDTH)
                seen = observation(updates, rng.integers(1, 100, n), root=normal(rng, WIDTH))
                self._aggregate(rule, seen, rng.permutation(n))

    def test_what_needs_no_single_update_needs_their_sum_only(self):
        rng = np.random.default_rng(3)
        for rule in self.made():
            if rule.individual:
                continue
            updates = normal(rng, 6, WIDTH)
            seen = observation(updates, root=updates[0])
            # Multiples of one direction that add up to nothing leave the sum as it is.
            shifts = np.float32([[1], [-2], [1], [3], [-3], [0]])
            moved = updates + shifts * normal(rng, WIDTH)
            check_equal(
                rule.aggregate(dataclasses.replace(seen, updates=moved)),
                rule.aggregate(seen),
                "depends on single updates, which `individual = False` denies",
                atol=1e-5,
            )

    def test_rows_that_are_not_finite_are_left_out(self):
        rng = np.random.default_rng(2)
        for rule in self.made():
            updates = normal(rng, 6, WIDTH)
            root = updates.mean(0)
            seen = observation(updates, root=root)
            bad = np.float32([[np.nan] * WIDTH, [np.inf] * WIDTH])
            poisoned = observation(np.insert(updates, [2, 5], bad, axis=0), root=root)
            check_equal(
                rule.aggregate(poisoned),
                rule.aggregate(seen),
                "rows that are not finite change the aggregate",
            )
            nothing = np.full((6, WIDTH), np.nan, dtype=np.float32)
            with refused(ValueError, "updates of which none is finite"):
                rule.aggregate(dataclasses.replace(seen, updates=nothing))

    def test_a_far_row_leaves_a_finite_aggregate(self):
        rng = np.random.default_rng(4)
        for rule in self.made():
            for far in (1e30, 3e38):
                updates = normal(rng, 6, WIDTH)
                updates[0] = far
                row = rule.aggregate(observation(updates, root=updates[1]))
                assert np.isfinite(row).all(), f"a row at {far:g} leaves nothing finite"

    def test_identical_rows_are_their_aggregate(self):
        row = np.linspace(-2, 2, WIDTH, dtype=np.float32)
        for rule in self.made():
            for n in (1, 2, 9):
                seen = observation(np.tile(row, (n, 1)), 5, global_model=row / 2, root=row)
                found = rule.aggregate(seen)
                if rule.convex:
                    check_equal(found, row, "identical rows are not their aggregate", atol=1e-6)
                else:
                    assert np.isfinite(found).all(), "the aggregate is not finite"

    @staticmethod
    def _aggregate(rule: Any, seen: AggregationObservation, order: np.ndarray) -> None:
        updates = seen.updates
        before = updates.copy()
        updates.setflags(write=False)  # as the world hands them over
        row = rule.aggregate(seen)
        check_array(row, (WIDTH,), np.float32, "the aggregate")
        assert np.isfinite(row).all(), "the aggregate is not finite"
        if rule.convex:
            inside = (row >= updates.min(0) - 1e-5) & (row <= updates.max(0) + 1e-5)
            assert inside.all(), "outside the updates, which `convex = True` denies"
        assert (updates == before).all(), "writes into the updates that it is shown"
        check_equal(
            rule.aggregate(permuted(seen, order)),
            row,
            "depends on the order of the updates",
            atol=1e-5,
        )


class TransformConformance(Conformance):
    """One finite row for each update, in the same order; what was seen stays as it is."""

    def test_rows(self):
        rng = np.random.default_rng(1)
        for transform in self.made():
            check_used(transform)
            for n in (1, 2, 5, 12):
                seen = observation(normal(rng, n, WIDTH), 3, root=None)
                self._apply(transform, seen, rng.permutation(n))

    @staticmethod
    def _apply(transform: Any, seen: AggregationObservation, order: np.ndarray) -> None:
        updates = seen.updates
        before = updates.copy()
        updates.setflags(write=False)
        rows = transform.apply(seen)
        check_array(rows, updates.shape, np.float32, "the rows")
        assert np.isfinite(rows).all(), "a row is not finite"
        assert (updates == before).all(), "writes into the updates that it is shown"
        check_equal(
            transform.apply(permuted(seen, order)),
            rows[order],
            "permuting the updates must permute the rows",
            atol=1e-5,
        )
