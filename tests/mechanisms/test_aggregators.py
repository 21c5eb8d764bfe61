"""Aggregation rules: minima, axioms, and sybils; their definitions are in `test_far_rows`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from mechanisms import registries as rules
from mechanisms.geometry import squared_distances
from mechanisms.krum import choose
from mechanisms.vocabulary import AggregationObservation

TOLERANCE = 1e-5


def seen(x, base=None, root=None, samples=None):
    n, size = x.shape
    return AggregationObservation(
        round=1,
        workers=tuple(range(n)),
        updates=x.astype(np.float32),
        samples=np.ones(n, dtype=np.int64) if samples is None else samples,
        global_model=np.zeros(size, np.float32) if base is None else base.astype(np.float32),
        root=None if root is None else root.astype(np.float32),
    )


def aggregate(name, x, *, base=None, root=None, **params):
    return rules.aggregators.create(name, params).aggregate(seen(x, base, root))


@st.composite
def matrices(draw, at_least=1, at_most=19):
    """Random rows, some of them repeated, some far away, on a scale of its own."""
    n = draw(st.integers(at_least, at_most))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    x = rng.standard_normal((n, draw(st.integers(1, 9)))).astype(np.float32) * draw(
        st.sampled_from((0.01, 1.0, 30.0))
    )
    if draw(st.booleans()):
        x[rng.integers(n, size=n // 3)] = x[0]
    if draw(st.booleans()):
        x[rng.integers(n)] *= 1000
    return x


def close(a, b):
    np.testing.assert_allclose(a, b, atol=TOLERANCE * max(1.0, float(np.abs(b).max())))


@given(st.integers(2, 40), st.integers(0, 12), st.integers(0, 500))
def test_repeated_krum_without_its_bookkeeping(n, f, seed):
    f = min(f, (n - 3) // 2) if n > 3 else 0
    rng = np.random.default_rng(seed)
    distances = squared_distances(rng.standard_normal((n, 4)).astype(np.float32))
    rows = max(1, n - 2 * f)
    rest, chosen = list(range(n)), []
    for _ in range(rows):
        count = max(1, len(rest) - f - 2)
        values = [sum(sorted(distances[i, j] for j in rest if j != i)[:count]) for i in rest]
        chosen.append(rest.pop(int(np.argmin(values))))
    assert choose(distances, f, rows).tolist() == sorted(chosen)


@settings(max_examples=15)
@given(matrices(at_least=3, at_most=9))
def test_geometric_median_minimises_the_sum_of_distances(x):
    """Its sum of distances is not above what a general minimiser finds from many starts."""
    x = np.unique(x, axis=0)

    def cost(z):
        return np.linalg.norm(x.astype(float) - z, axis=1).sum()

    found = cost(aggregate("geometric-median", x, iterations=10_000).astype(float))
    starts = [x.mean(0).astype(float), np.median(x, 0).astype(float), *x.astype(float)]
    best = min(
        optimize.minimize(
            cost, s, method="Nelder-Mead", options={"maxiter": 4_000, "fatol": 1e-12}
        ).fun
        for s in starts
    )
    assert found <= best * (1 + 1e-5)


def test_geometric_median_of_a_triangle_is_its_fermat_point():
    x = np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
    close(aggregate("geometric-median", x), x.mean(axis=0))
    far = np.array([[0, 0], [10, 0.1], [-10, 0.1]])  # an angle above 120 degrees: the corner itself
    np.testing.assert_allclose(aggregate("geometric-median", far), [0, 0], atol=1e-4)


def test_fltrust_keeps_the_model_when_nobody_is_trusted():
    base, root = np.zeros(3), np.array([1.0, 0, 0])
    against = np.array([[-1.0, 0, 0], [-2.0, 1.0, 0]])
    close(aggregate("fltrust", against, base=base, root=root), base)
    close(aggregate("fltrust", against, base=base, root=base), base)


def test_foolsgold_ignores_sybils_that_push_together():
    rng = np.random.default_rng(3)
    honest = rng.standard_normal((5, 50))
    sybils = np.tile(rng.standard_normal(50) * 3, (4, 1))
    row = aggregate("foolsgold", np.concatenate([honest, sybils]))
    assert np.linalg.norm(row - honest.mean(0)) < 0.2 * np.linalg.norm(sybils[0] - honest.mean(0))


@pytest.mark.parametrize(
    "rule", ["median", "trimmed-mean", "krum", "multi-krum", "bulyan", "geometric-median"]
)
def test_far_away_rows_do_not_move_a_robust_rule(rule):
    """Three of fifteen rows go to infinity: the mean follows, the rule stays near the others."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((15, 40))
    x[12:] += 1e6
    assert np.linalg.norm(aggregate("mean", x)) > 1e5
    assert np.linalg.norm(aggregate(rule, x)) < 3 * np.sqrt(40)


@pytest.mark.parametrize(
    "rule", ["median", "trimmed-mean", "krum", "multi-krum", "bulyan", "geometric-median"]
)
def test_moving_all_rows_moves_the_result(rule):
    rng = np.random.default_rng(1)
    x, shift = rng.standard_normal((11, 6)).astype(np.float32), 8.0
    close(aggregate(rule, x + np.float32(shift)), aggregate(rule, x).astype(float) + shift)


def test_one_update_is_its_own_aggregate():
    x = np.linspace(-1, 1, 7)[None]
    for name in rules.aggregators.names():
        if rules.aggregators.get(name).convex:
            close(aggregate(name, x), x[0])
