"""Aggregation rules against slow references written from the papers' definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from mechanisms import registries as rules
from mechanisms.geometry import cosines, squared_distances
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


def scores(x, rows, neighbours):
    """Krum scores of rows among rows: sums of the smallest squared distances to others."""
    result = []
    for i in rows:
        others = sorted(float(((x[i].astype(float) - x[j]) ** 2).sum()) for j in rows if j != i)
        result.append(sum(others[: max(1, neighbours)]))
    return result


def first_lowest(values):
    lowest = min(values)
    return next(i for i, v in enumerate(values) if v <= lowest + 1e-9 * max(values))


@given(matrices())
def test_median(x):
    close(aggregate("median", x), np.median(x.astype(float), axis=0))


@given(matrices(), st.integers(0, 8))
def test_trimmed_mean(x, f):
    f = min(f, (len(x) - 1) // 2)
    expected = [np.mean(sorted(column)[f : len(column) - f]) for column in x.T.astype(float)]
    close(aggregate("trimmed-mean", x, f=f), np.array(expected))


@given(matrices(at_least=3), st.integers(0, 8), st.sampled_from((("n-f-2", 2), ("n-f-1", 1))))
def test_krum(x, f, neighbours):
    n = len(x)
    f = min(f, (n - 3) // 2)
    name, less = neighbours
    expected = x[first_lowest(scores(x, range(n), n - f - less))]
    close(aggregate("krum", x, f=f, neighbours=name), expected)


@given(matrices(at_least=3), st.integers(0, 8))
def test_multi_krum(x, f):
    n = len(x)
    f = min(f, (n - 3) // 2)
    values = scores(x, range(n), n - f - 2)
    kept = []
    for _ in range(n - f):
        rest = [i for i in range(n) if i not in kept]
        kept.append(rest[first_lowest([values[i] for i in rest])])
    close(aggregate("multi-krum", x, f=f), x[kept].astype(float).mean(axis=0))


@given(matrices(at_least=3, at_most=23), st.integers(0, 5))
def test_bulyan(x, f):
    n = len(x)
    f = max(0, min(f, (n - 3) // 4))
    theta = n - 2 * f
    rest, chosen = list(range(n)), []
    if f:
        # The tie margin of the rule is relative to the largest distance times n.
        margin = (
            1e-9
            * n
            * max(max(((x[i].astype(float) - x[j]) ** 2).sum() for j in range(n)) for i in range(n))
        )
        while len(chosen) < theta:
            values = scores(x, rest, len(rest) - f - 2)
            pick = rest[next(i for i, v in enumerate(values) if v <= min(values) + margin)]
            chosen.append(pick)
            rest.remove(pick)
    else:
        chosen = rest
    beta, expected = theta - 2 * f, []
    for column in x[sorted(chosen)].T.astype(float):
        ordered = np.sort(column)
        nearest = np.argsort(np.abs(ordered - np.median(ordered)), kind="stable")[:beta]
        expected.append(ordered[nearest].mean())
    close(aggregate("bulyan", x, f=f), np.array(expected))


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


@given(matrices(at_least=3, at_most=9))
def test_geometric_median_minimises_the_sum_of_distances(x):
    """Its sum of distances is not above what a general minimiser finds from many starts."""
    x = np.unique(x, axis=0)

    def cost(z):
        return np.linalg.norm(x.astype(float) - z, axis=1).sum()

    found = cost(aggregate("geometric-median", x, iterations=20_000).astype(float))
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


@given(matrices(), st.floats(0.1, 50), st.integers(1, 4))
def test_centred_clipping(x, radius, steps):
    base = x.mean(axis=0) + 1
    centre = base.astype(np.float32).astype(float)
    for _ in range(steps):
        moved = [
            (row - centre) * min(1.0, radius / max(np.linalg.norm(row - centre), 1e-300))
            for row in x.astype(float)
        ]
        centre = centre + np.mean(moved, axis=0)
    close(aggregate("centred-clipping", x, base=base, radius=radius, iterations=steps), centre)


@given(matrices(), st.integers(0, 100))
def test_fltrust(x, seed):
    rng = np.random.default_rng(seed)
    base, root = (rng.standard_normal(x.shape[1]).astype(np.float32) for _ in range(2))
    clean = root.astype(float) - base
    trusts, scaled = [], []
    for row in x.astype(float):
        d = row - base
        if np.linalg.norm(d) == 0:
            continue
        cos = d @ clean / (np.linalg.norm(d) * np.linalg.norm(clean))
        trusts.append(max(0.0, cos))
        scaled.append(d * np.linalg.norm(clean) / np.linalg.norm(d))
    expected = base.astype(float)
    if sum(trusts) > 0:
        expected = expected + sum(t * d for t, d in zip(trusts, scaled, strict=True)) / sum(trusts)
    close(aggregate("fltrust", x, base=base, root=root), expected)


def test_fltrust_keeps_the_model_when_nobody_is_trusted():
    base, root = np.zeros(3), np.array([1.0, 0, 0])
    against = np.array([[-1.0, 0, 0], [-2.0, 1.0, 0]])
    close(aggregate("fltrust", against, base=base, root=root), base)
    close(aggregate("fltrust", against, base=base, root=base), base)


@given(matrices(at_least=2, at_most=10))
def test_foolsgold(x):
    base = np.full(x.shape[1], 0.5, dtype=np.float32)
    d = x.astype(float) - base
    n = len(x)
    cs = np.array(
        [
            [d[i] @ d[j] / (np.linalg.norm(d[i]) * np.linalg.norm(d[j])) for j in range(n)]
            for i in range(n)
        ]
    )
    others = [[min(1.0, cs[i, j]) for j in range(n) if j != i] for i in range(n)]
    top = [max(o) for o in others]
    weights = []
    for i in range(n):
        pardoned = []
        for j in range(n):
            if j != i:
                factor = max(0.0, top[i] / top[j]) if top[i] < top[j] and top[j] > 0 else 1.0
                pardoned.append(min(1.0, cs[i, j]) * factor)
        weights.append(min(1.0, max(0.0, 1 - max(pardoned))))
    weights = np.array(weights)
    if weights.max() < 1e-6:
        return  # all alike: rounding decides which of them has weight
    weights = weights / weights.max()
    with np.errstate(divide="ignore"):
        weights = np.clip(np.log(weights / (1 - weights)) + 0.5, 0, 1)
    expected = (weights[:, None] * x).sum(0) / weights.sum()
    np.testing.assert_allclose(
        aggregate("foolsgold", x, base=base), expected, atol=1e-3 * max(1.0, np.abs(expected).max())
    )


def test_foolsgold_ignores_sybils_that_push_together():
    rng = np.random.default_rng(3)
    honest = rng.standard_normal((5, 50))
    sybils = np.tile(rng.standard_normal(50) * 3, (4, 1))
    row = aggregate("foolsgold", np.concatenate([honest, sybils]))
    assert np.linalg.norm(row - honest.mean(0)) < 0.2 * np.linalg.norm(sybils[0] - honest.mean(0))


@given(matrices(), st.integers(0, 8))
def test_nearest_neighbour_mixing(x, f):
    n = len(x)
    keep = n - min(f, (n - 1) // 2)
    rows = rules.transforms.create("nearest-neighbour-mixing", {"f": f}).apply(seen(x))
    for i in range(n):
        distances = [((x[i].astype(float) - x[j]) ** 2).sum() for j in range(n)]
        order = sorted(range(n), key=lambda j: distances[j])
        inside = np.mean([distances[j] for j in order[:keep]])
        means = x[order[:keep]].astype(float).mean(0)
        # Where several are equally near any of them will do; then only the spread can be compared.
        if keep < n and abs(distances[order[keep - 1]] - distances[order[keep]]) < 1e-6 * max(
            distances
        ):
            assert inside >= 0
        else:
            close(rows[i], means)


@given(matrices(), st.floats(0.01, 100))
def test_norm_clipping(x, bound):
    base = np.full(x.shape[1], 0.25, dtype=np.float32)
    rows = rules.transforms.create("norm-clipping", {"bound": bound}).apply(seen(x, base))
    for row, original in zip(rows.astype(float), x.astype(float), strict=True):
        d = original - base
        close(row, base + d * min(1.0, bound / max(np.linalg.norm(d), 1e-300)))


@given(matrices(at_least=2))
def test_distances_and_cosines(x):
    wide = x.astype(float)
    expected = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared_distances(x), expected, atol=1e-9 * max(1.0, expected.max()))
    base = np.full(x.shape[1], 0.1, dtype=np.float32)
    d = wide - base
    norms = np.linalg.norm(d, axis=1)
    np.testing.assert_allclose(cosines(x, base), d @ d.T / norms[:, None] / norms[None], atol=1e-9)


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
